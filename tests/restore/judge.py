"""Compare the gateways' ledgers with the restored records."""

from collections import Counter
from typing import Final

import asyncpg
from msgspec import Struct

from orderfleet.domain.orders import OrderState
from tests.restore.gateways import Bank, Post

_GAPS: Final = """
SELECT order_id FROM events WHERE starts_with(order_id, $1)
GROUP BY order_id HAVING max(number) <> count(*)
"""


class Verdict(Struct):
    """Orders by what is wrong with them, and the ends of the others."""

    charged_twice: set[str]
    """Captured under two keys, or shipped twice."""
    refunds_lost: set[str]
    """Ended unfulfilled, or unknown, and their money is kept."""
    delivered_unpaid: set[str]
    """The package is with the customer, and the money is not here."""
    undone: set[str]
    """Its client had seen it fulfilled, and it was called back."""
    open: set[str]
    gaps: set[str]
    ends: dict[str, int]

    @property
    def wrong(self) -> dict[str, int]:
        named = {
            "charged twice": self.charged_twice,
            "refunds lost": self.refunds_lost,
            "delivered unpaid": self.delivered_unpaid,
            "delivered, then undone": self.undone,
            "open": self.open,
            "gaps in the audit log": self.gaps,
        }
        return {name: len(orders) for name, orders in named.items() if orders}


async def judge(
    database: "asyncpg.Pool[asyncpg.Record]", bank: Bank, post: Post, prefix: str, seen: set[str]
) -> Verdict:
    """Judge all orders of a round; `seen` are those that were fulfilled before the stop."""
    rows = await database.fetch(
        "SELECT id, state FROM orders WHERE starts_with(id, $1)", f"{prefix}-"
    )
    states = {row["id"]: OrderState(row["state"]) for row in rows}
    verdict = Verdict(set(), set(), set(), set(), set(), set(), {})
    ends: Counter[str] = Counter()
    with bank.lock, post.lock:
        known = {order for order in bank.captures if order.startswith(f"{prefix}-")} | states.keys()
        for order_id in known:
            state = states.get(order_id)
            keys = bank.captures.get(order_id, [])
            kept = [key for key in keys if bank.status[key] == "captured"]
            packages = post.packages_of(order_id)
            ends[state or "only at the gateways"] += 1
            if len(keys) > 1 or len(packages) > 1:
                verdict.charged_twice.add(order_id)
            if state is not None and not state.ended:
                verdict.open.add(order_id)
            elif kept and state is not OrderState.FULFILLED:
                verdict.refunds_lost.add(order_id)
            if bool(packages) != bool(kept):
                verdict.delivered_unpaid.add(order_id)
            if order_id in seen and not packages:
                verdict.undone.add(order_id)
    gaps = await database.fetch(_GAPS, f"{prefix}-")
    verdict.gaps = {row["order_id"] for row in gaps}
    verdict.ends = dict(ends)
    return verdict
