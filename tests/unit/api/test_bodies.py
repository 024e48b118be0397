"""Bodies: nothing is converted, and the answer points to what is wrong."""

import json
from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException

from orderfleet_api.bodies import decode
from orderfleet_api.schemas import AddressRequest, CancelRequest, OrderRequest, ReviewRequest

_HOME = '{"street": "1 Main St", "city": "Springfield"}'
_ORDER = '{"payment_id": "p", "address": ' + _HOME + "%s}"


def refused(body: bytes, type_: Any) -> ProblemDetailsException:
    with pytest.raises(ProblemDetailsException) as raised:
        decode(body, type_)
    return raised.value


def pointers(error: ProblemDetailsException) -> list[str]:
    assert error.status_code == 422
    assert isinstance(error.extra, dict)
    return [invalid["pointer"] for invalid in error.extra["errors"]]


def test_a_valid_body_is_decoded() -> None:
    assert decode(b'{"approved": true}', ReviewRequest) == ReviewRequest(approved=True)
    assert decode(b"\t{}\r\n ", CancelRequest | None) == CancelRequest()
    order = decode((_ORDER % "").encode(), OrderRequest)
    assert order.address.city == "Springfield"
    # Different names are no duplicates, nor is the same name in two objects.
    items = ', "items": [{"sku": "A", "quantity": 1.0}, {"sku": "B", "quantity": 1e2}]'
    decoded = decode((_ORDER % items).encode(), OrderRequest).items
    # In JSON, and so in JSON Schema, these are integers.
    assert [item.quantity for item in decoded] == [1, 100]


@pytest.mark.parametrize(
    ("body", "type_", "pointer"),
    [
        ('{"approved": "1"}', ReviewRequest, "/approved"),
        ('{"approved": "true"}', ReviewRequest, "/approved"),
        ('{"approved": 1}', ReviewRequest, "/approved"),
        ('{"approved": null}', ReviewRequest, "/approved"),
        ('{"approved": [true]}', ReviewRequest, "/approved"),
        ('{"approved": true, "reviewer": 7}', ReviewRequest, "/reviewer"),
        ('{"approved": true, "reviewer": null}', ReviewRequest, "/reviewer"),
        ('{"reason": false}', CancelRequest | None, "/reason"),
        ('"{}"', CancelRequest | None, ""),
        ('"null"', CancelRequest | None, ""),
        ("[]", CancelRequest | None, ""),
        ('{"address": "null"}', AddressRequest, "/address"),
        ('{"address": [["street", "a"], ["city", "b"]]}', AddressRequest, "/address"),
        (_ORDER % ', "items": {"sku": "A"}', OrderRequest, "/items"),
        (_ORDER % ', "items": null', OrderRequest, "/items"),
        (_ORDER % ', "items": [{"sku": "A", "quantity": "1"}]', OrderRequest, "/items/0/quantity"),
        (_ORDER % ', "items": [{"sku": "A", "quantity": true}]', OrderRequest, "/items/0/quantity"),
        (_ORDER % ', "items": [{"sku": "A", "quantity": 1.5}]', OrderRequest, "/items/0/quantity"),
        (_ORDER % ', "items": [{"sku": "A", "quantity": 1e-2}]', OrderRequest, "/items/0/quantity"),
        (_ORDER % ', "items": [{"sku": "A", "quantity": 1e18}]', OrderRequest, "/items/0/quantity"),
        (_ORDER % ', "items": [{"sku": "A", "price": 1}]', OrderRequest, "/items/0/price"),
        (_ORDER % ', "currency": 840', OrderRequest, "/currency"),
        (_ORDER % ', "a/b~c": 1', OrderRequest, "/a~1b~0c"),
    ],
)
def test_nothing_is_converted(body: str, type_: Any, pointer: str) -> None:
    [at] = pointers(refused(body.encode(), type_))
    assert at.startswith(pointer)
    assert pointer or not at


@pytest.mark.parametrize(
    ("body", "type_", "pointer"),
    [
        ('{"approved": true, "approved": true}', ReviewRequest, "/approved"),
        ('{"approved": true, "approved": false}', ReviewRequest, "/approved"),
        ('{"approved": true, "\\u0061pproved": false}', ReviewRequest, "/approved"),
        ('{"reason": "a", "reason": ""}', CancelRequest | None, "/reason"),
        (_ORDER % ', "payment_id": "q"', OrderRequest, "/payment_id"),
        (_ORDER % (', "address": ' + _HOME), OrderRequest, "/address"),
        ('{"address": {"city": "a", "street": "b", "city": "c"}}', AddressRequest, "/address/city"),
        (_ORDER % ', "items": [{"sku": "A"}, {"sku": "B", "sku": "C"}]', OrderRequest, "/items/1"),
        # At any depth, also within a member that is refused anyway.
        ('{"x/y": [[{"a": 1}, {"~": 1, "~": 2}]]}', CancelRequest, "/x~1y/0/1/~0"),
        ('[{"a": 1, "a": 1}]', CancelRequest, "/0/a"),
        ('{"": 1, "": 2}', CancelRequest, "/"),
    ],
)
def test_a_duplicate_member_is_refused(body: str, type_: Any, pointer: str) -> None:
    [at] = pointers(refused(body.encode(), type_))
    assert at.startswith(pointer)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{} {}",
        b"{}x",
        b"{}\x00",
        b'{"reason": "a",}',
        b"{'reason': 'a'}",
        b'{"reason": NaN}',
        b"NaN",
        b'{"reason": 1e400}',
        b'{"reason": -1e400}',
        b"Infinity",
        b"-Infinity",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-16-le"),
        "{}".encode("utf-32"),
        b'{"reason": "\xff"}',
        b'{"reason": "\xed\xa0\x80"}',
        b'{"reason": "\\ud800"}',
        b'{"reason": "\\udc00\\ud800"}',
        b'{"reason": "a\nb"}',
        b'{"reason": "\\x41"}',
        b'{"a": 01}',
        b'{"a": 0x1}',
        b'{"a": +1}',
        b'{"a": .5}',
        b"// {}",
        b"\x0b{}",
        b"\xa0{}",
        b"[" * 100_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b"[" * 900 + b'{"a": 1, "a": 1}' + b"]" * 900,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    # Also within an unknown member: whether the body is JSON comes first.
    error = refused(body, CancelRequest | None)
    assert error.status_code == 400 or b'"a"' in body
    assert error.status_code in {400, 422}
    assert len(json.dumps(error.detail)) < 1000
