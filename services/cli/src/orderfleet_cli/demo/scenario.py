"""A scenario of the demo: an order, the action on it, and the outcome it must have."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from orderfleet.gateways.simulated import Fault
from orderfleet_cli.api_client import Api, Json, start_when_asked
from orderfleet_cli.demo.actions import (
    DEADLINE,
    ENDS,
    REVIEWER,
    approve,
    nothing,
    reject,
    wait_until_accepted,
)

ADDRESS: Final = {"street": "1 First Street", "city": "Springfield", "country": "US"}
ITEMS: Final = ({"sku": "ABC", "quantity": 2, "price": "12.50"},)
_REPEATS: Final = 3

Script = Callable[[Api, str], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """An order: its faults, the action on it, the ends it may have and the events it must have."""

    order_id: str
    title: str
    ends: tuple[str, ...]
    act: Script = nothing
    events: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    items: tuple[Mapping[str, Any], ...] = ITEMS
    address: Mapping[str, str] = field(default_factory=lambda: ADDRESS)
    pays_for: str = ""
    """The id of another order, whose payment id this order tries to use."""

    @property
    def payment_id(self) -> str:
        """The payment id of the order."""
        return f"pay-{self.pays_for or self.order_id}"

    @property
    def expected(self) -> str:
        """The ends that the order may have, for people."""
        return "any end" if self.ends == ENDS else " or ".join(self.ends)

    async def play(self, api: Api) -> None:
        """Place the order and act on it.

        Raises:
            ApiError: the API refused the order or the act.
        """
        if self.pays_for:
            await wait_until_accepted(api, self.pays_for)
        order = {"payment_id": self.payment_id, "address": ADDRESS, "items": self.items}
        # On a busy machine the API may ask to place it later.
        await start_when_asked(api, self.order_id, order, repeats=_REPEATS)
        await self.act(api, self.order_id)

    def problems(self, order: Json) -> list[str]:
        """Return what in the record of an ended order is not as expected."""
        problems = []
        if order["state"] not in self.ends:
            problems.append(f"ended {order['state']}, not {self.expected}")
        seconds = seconds_taken(order)
        if seconds is None or seconds > DEADLINE:
            problems.append(f"took {seconds} s, more than {DEADLINE:g}")
        types = [event["type"] for event in order["events"]]
        problems += [
            f"{types.count(kind)} times {kind}, not {times}"
            for kind, times in self.events.items()
            if types.count(kind) != times
        ]
        if dict(order["address"]) != self.address:
            problems.append(f"goes to {order['address'].get('city')}, not {self.address['city']}")
        reviews = [event["payload"] for event in order["events"] if event["type"] == "reviewed"]
        by = reviews[0].get("by") if reviews else None
        if self.act in {approve, reject} and by != REVIEWER:
            problems.append(f"reviewed by {by or 'nobody'}, not {REVIEWER}")
        return problems


def seconds_taken(order: Json) -> float | None:
    """Return the time from the order's row to its end event, or None if it has not ended."""
    end = next((event["ts"] for event in order["events"] if event["type"] in ENDS), None)
    if end is None:
        return None
    taken = datetime.fromisoformat(end) - datetime.fromisoformat(order["created_at"])
    return round(taken.total_seconds(), 2)
