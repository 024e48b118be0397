"""Bodies: nothing is made to fit, and what is wrong is pointed at."""

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
    return [one["pointer"] for one in error.extra["errors"]]


def test_what_fits_is_taken() -> None:
    assert decode(b'{"approved": true}', ReviewRequest) == ReviewRequest(approved=True)
    assert decode(b"\t{}\r\n ", CancelRequest | None) == CancelRequest()
    order = decode((_ORDER % "").encode(), OrderRequest)
    assert order.address.city == "Springfield"
    # Names that differ are two, and one name may stand in many objects.
    items = ', "items": [{"sku": "A", "quantity": 1.0}, {"sku": "B", "quantity": 1e2}]'
    taken = decode((_ORDER % items).encode(), OrderRequest).items
    # To JSON, and so to JSON Schema, they are whole.
    assert [item.quantity for item in taken] == [1, 100]


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
def test_nothing_is_made_to_fit(body: str, type_: Any, pointer: str) -> None:
    found = pointers(refused(body.encode(), type_))
    assert len(found) == 1
    assert found[0].startswith(pointer)
    assert pointer or not found[0]


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
        # Wherever it stands, also in what is refused for itself.
        ('{"x/y": [[{"a": 1}, {"~": 1, "~": 2}]]}', CancelRequest, "/x~1y/0/1/~0"),
        ('[{"a": 1, "a": 1}]', CancelRequest, "/0/a"),
        ('{"": 1, "": 2}', CancelRequest, "/"),
    ],
)
def test_no_member_comes_twice(body: str, type_: Any, pointer: str) -> None:
    found = pointers(refused(body.encode(), type_))
    assert len(found) == 1
    assert found[0].startswith(pointer)


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
    # An object of any name too: whether it is JSON comes first.
    error = refused(body, CancelRequest | None)
    assert error.status_code == 400 or b'"a"' in body
    assert error.status_code in {400, 422}
    assert len(json.dumps(error.detail)) < 1000
