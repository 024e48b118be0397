"""Bodies as the OpenAPI document shows them."""

from typing import Any, Final

from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg


def _body(**examples: dict[str, Any]) -> BodyKwarg:
    shown = [
        Example(id=name, summary=name.replace("_", " "), value=value)
        for name, value in examples.items()
    ]
    return BodyKwarg(media_type=RequestEncodingType.JSON, examples=shown)


_HOME: Final = {"street": "1 Main St", "city": "Springfield"}

ORDER: Final = _body(
    the_least={"payment_id": "payment-1", "address": _HOME},
    everything={
        "payment_id": "payment-2",
        "address": {
            **_HOME,
            "name": "Jane Doe",
            "region": "IL",
            "postal_code": "62701",
            "country": "US",
        },
        "items": [{"sku": "ABC", "quantity": 2, "price": "9.95"}, {"sku": "XYZ"}],
        "currency": "EUR",
    },
)
ADDRESS: Final = _body(a_new_address={"address": {"street": "2 Elm St", "city": "Springfield"}})
CANCEL: Final = _body(with_a_reason={"reason": "found it cheaper"})
REVIEW: Final = _body(
    approved={"approved": True, "reviewer": "jane"},
    rejected={"approved": False, "reviewer": "jane", "reason": "looks like fraud"},
)
