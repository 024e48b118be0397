"""An order's records in the fleet's tables and in the gateways' ledger."""

from dataclasses import dataclass
from typing import Any

from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Pool
from orderfleet.store.transitions import receive
from tests.integration.support.fleet import an_order


@dataclass(frozen=True)
class Books:
    """All rows of one order."""

    order: dict[str, Any]
    payments: list[dict[str, Any]]
    events: list[dict[str, Any]]
    charges: list[dict[str, Any]]
    shipments: list[dict[str, Any]]

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The packages that the carrier has."""
        return [one for one in self.shipments if one["status"] == "taken"]

    @property
    def essence(self) -> dict[str, Any]:
        """The part that must not depend on how often a step ran: all but times, attempts, claims.

        The log has one `dispatching` for each attempt of a dispatch; this has one for all.
        """
        types: list[str] = []
        for event in self.events:
            if event["type"] != "dispatching" or "dispatching" not in types:
                types.append(event["type"])
        return {
            "state": self.order["state"],
            "address": self.order["address_json"],
            "payments": [(one["payment_id"], one["status"]) for one in self.payments],
            "events": types,
            "charges": [(one["key"], one["status"], one["amount"]) for one in self.charges],
            "shipments": [
                (one["key"], one["status"], one["address_json"]) for one in self.shipments
            ],
        }


async def books(pool: Pool, order_id: str) -> Books:
    """Read all rows of an order."""

    async def rows(query: str) -> list[dict[str, Any]]:
        return [dict(row) for row in await pool.fetch(query, order_id)]

    found = await rows("SELECT * FROM orders WHERE id = $1")
    return Books(
        found[0] if found else {},
        await rows("SELECT * FROM payments WHERE order_id = $1 ORDER BY payment_id"),
        await rows("SELECT * FROM events WHERE order_id = $1 ORDER BY number"),
        await rows("SELECT * FROM gateway.charges WHERE order_id = $1 ORDER BY key"),
        await rows("SELECT * FROM gateway.shipments WHERE order_id = $1 ORDER BY key"),
    )


async def put_order(owner: Pool, order_id: str, state: OrderState) -> None:
    """Write an order in any state, which only the database's owner can."""
    assert await receive(owner, order_id, an_order(f"pay-{order_id}"), {})
    claim = "0.1" if state is OrderState.DISPATCHING else None
    await owner.execute(
        "UPDATE orders SET state = $2, dispatch_claim = $3, dispatch_key = $3 WHERE id = $1",
        order_id,
        state,
        claim,
    )


async def put_payment(owner: Pool, order_id: str, status: str) -> None:
    """Write the order's payment with a status."""
    await owner.execute(
        "INSERT INTO payments (payment_id, order_id, status, amount, currency)"
        " SELECT payment_id, id, $2, amount, currency FROM orders WHERE id = $1",
        order_id,
        status,
    )
