"""What must hold of all orders: in Postgres, at the gateways, and in what clients were answered."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final

from orderfleet.store.pool import UNAVAILABLE, Pool
from tests.e2e.support.orders import ELSEWHERE, ENDS
from tests.failover.support.flow import Order
from tests.failover.support.ledgers import Ledgers

_ROWS: Final = """
SELECT orders.id, orders.payment_id, state, address_json ->> 'street' AS street,
       (SELECT array_agg(status) FROM payments WHERE order_id = orders.id) AS payments,
       (SELECT array_agg(number ORDER BY number) FROM events WHERE order_id = orders.id) AS numbers
FROM orders
"""


async def wrong_orders(pool: Pool, ledgers: Ledgers, orders: Iterable[Order]) -> list[str]:
    """Return what is wrong, a line each."""
    rows = {row["id"]: row for row in await pool.fetch(_ROWS)}
    wrong = [
        f"{order.id}: {problem}"
        for order in orders
        if order.accepted
        for problem in _problems(order, rows.get(order.id), ledgers)
    ]
    twice = [key for key, payers in ledgers.payments.orders.items() if len(payers) > 1]
    return wrong + [f"{key}: pays for {ledgers.payments.orders[key]}" for key in twice]


async def settled(
    pool: Pool, ledgers: Ledgers, orders: list[Order], *, seconds: float
) -> tuple[float, list[str]]:
    """Wait until nothing is wrong; return after how long, and what still is when time is over."""
    began = time.monotonic()
    while True:
        try:
            wrong = await wrong_orders(pool, ledgers, orders)
        except UNAVAILABLE as error:
            wrong = [f"Postgres: {error}"]
        took = time.monotonic() - began
        if not wrong or took > seconds:
            return took, wrong
        await asyncio.sleep(0.25)


def _problems(order: Order, row: Any, ledgers: Ledgers) -> Iterable[str]:
    if row is None:
        yield "lost"
        return
    if row["state"] not in ENDS:
        yield f"still {row['state']}"
    if row["numbers"] != list(range(1, len(row["numbers"]) + 1)):
        yield f"its events are {row['numbers']}"
    yield from _unbalanced(order, row, ledgers)
    yield from _untrue(order, row, ledgers)


def _unbalanced(order: Order, row: Any, ledgers: Ledgers) -> Iterable[str]:
    charge = ledgers.payments.status.get(order.payment_id, "none")
    payments, taken = row["payments"] or [], ledgers.packages.taken(order.id)
    if row["state"] == "fulfilled":
        balanced = charge == "captured" and payments == ["captured"] and len(taken) == 1
    else:
        balanced = charge != "captured" and not taken and not {"pending", "captured"} & {*payments}
    if not balanced:
        yield f"{row['state']}, its payment {charge}, on record {payments}, its packages {taken}"


def _untrue(order: Order, row: Any, ledgers: Ledgers) -> Iterable[str]:
    if order.cancelled and row["state"] != "cancelled":
        yield f"its cancellation was confirmed, and it is {row['state']}"
    # The row may have lost it, with a standby that had missed it: see docs/postgres.md.
    if order.moved:
        streets = {ledgers.packages.streets[key] for key in ledgers.packages.taken(order.id)}
        if streets - {ELSEWHERE["street"]}:
            yield f"its new address was confirmed, and it went to {streets}"
