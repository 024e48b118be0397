"""`orderfleet forget` against a running fleet; what it leaves is looked at in tests/integration."""

from pathlib import Path

import pytest

from tests.e2e.support.orders import HOME, Orders
from tests.support.cli import Cli

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_order_is_forgotten_and_still_known(orders: Orders, tmp_path: Path) -> None:
    cli = Cli(tmp_path, orders.fleet.addresses)
    order_id = await orders.place("plain", address={**HOME, "name": "Zoë Müller"})
    await orders.ended(order_id)
    started = await cli("forget", order_id, "--no-wait")
    assert started.status == 0, started
    order = await orders.until(order_id, "forgotten")
    assert order["address"] == {"street": "***", "city": "***"}
    assert "Zoë" not in str(order)
    assert (order["state"], order["amount"]) == ("fulfilled", "1.00")
    again = await orders.start(order_id, address={**HOME, "name": "Zoë Müller"})
    assert again.json() == {"order_id": order_id, "state": "fulfilled"}
    other = await orders.start(order_id, address=HOME)
    assert other.status_code == 409
    assert (await orders.balanced()).balanced
