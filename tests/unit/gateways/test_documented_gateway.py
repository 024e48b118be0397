"""The gateway that docs/gateways.md shows can be added as it stands there."""

import inspect
import re
from pathlib import Path
from typing import Any, cast

import pytest

from orderfleet.gateways import factory
from orderfleet.gateways.http import HTTPPaymentGateway
from orderfleet.gateways.protocols import Charge, ChargeStatus, GatewayRefusedError
from orderfleet.gateways.sanitized import SanitizedPaymentGateway
from orderfleet.gateways.simulated import SimulatedPaymentGateway
from orderfleet.store.pool import Pool

_PAGE = Path(__file__).parents[3] / "docs" / "gateways.md"
_GATEWAY, _FACTORY = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
_URL = "https://vouchers.example"
# Neither gateway uses it before its first call.
_POOL = cast("Pool", None)
_CHARGE = Charge("voucher-1", "order-1", "1.00", "EUR")


@pytest.fixture
def make() -> Any:
    """Return the page's factory, with the names of the real one around it."""
    names: dict[str, Any] = dict(vars(factory))
    exec(_GATEWAY + _FACTORY, names)  # noqa: S102 (the page's own code)
    return names["make_payment_gateway"]


@pytest.fixture
def gateway(make: Any) -> SanitizedPaymentGateway:
    return SanitizedPaymentGateway(make(_URL, _POOL))


def test_the_page_adds_two_lines_to_the_factory(make: Any) -> None:
    added = [line for line in _FACTORY.splitlines() if "vouchers" in line or "Voucher" in line]
    assert len(added) == 2
    rest = [line for line in _FACTORY.splitlines() if line not in added]
    assert rest == inspect.getsource(factory.make_payment_gateway).splitlines()
    assert isinstance(make("", _POOL), SimulatedPaymentGateway)
    assert isinstance(make("http://127.0.0.1:1", _POOL), HTTPPaymentGateway)


async def test_a_key_is_charged_and_refunded_once(gateway: SanitizedPaymentGateway) -> None:
    assert await gateway.lookup(_CHARGE.key) is ChargeStatus.NONE
    assert [await gateway.charge(_CHARGE) for _ in range(2)] == [False, True]
    assert await gateway.void(_CHARGE) is ChargeStatus.CAPTURED
    assert [await gateway.refund(_CHARGE) for _ in range(2)] == [ChargeStatus.REFUNDED] * 2
    assert await gateway.lookup(_CHARGE.key) is ChargeStatus.REFUNDED


async def test_a_voided_key_stays_closed(gateway: SanitizedPaymentGateway) -> None:
    assert await gateway.void(_CHARGE) is ChargeStatus.VOIDED
    with pytest.raises(GatewayRefusedError, match=r"^the voucher is voided$"):
        await gateway.charge(_CHARGE)
    assert await gateway.refund(_CHARGE) is ChargeStatus.VOIDED
