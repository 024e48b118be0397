"""What the demo does to an order while it is under way."""

from typing import Final

from orderfleet.domain.orders import OrderState
from orderfleet.polling import poll, retry
from orderfleet_cli.api_client import Api, ApiError

NEW_ADDRESS: Final = {"street": "2 Second Street", "city": "Shelbyville", "country": "US"}
DEADLINE: Final = 15.0
REVIEWER: Final = "demo"
ENDS: Final = tuple(state.value for state in OrderState if state.ended)
_POLL: Final = 0.1


async def nothing(api: Api, order_id: str) -> None:
    """Leave the order alone."""


async def cancel_in_review(api: Api, order_id: str) -> None:
    """Cancel before anything is charged."""
    await _wait_for(api, order_id, OrderState.IN_REVIEW)
    await api.cancel(order_id, "changed my mind")


async def cancel_paid(api: Api, order_id: str) -> None:
    """Cancel after the charge, while the refused dispatch backs off."""
    await _wait_for(api, order_id, OrderState.SHIPPING)
    await api.cancel(order_id, "found it cheaper")


async def move_in_review(api: Api, order_id: str) -> None:
    """Change the address during the review."""
    await _wait_for(api, order_id, OrderState.IN_REVIEW)
    await api.update_address(order_id, NEW_ADDRESS)


async def move_in_shipping(api: Api, order_id: str) -> None:
    """Change the address after the charge, while the refused dispatch backs off."""
    await _wait_for(api, order_id, OrderState.SHIPPING)
    await api.update_address(order_id, NEW_ADDRESS)


async def approve(api: Api, order_id: str) -> None:
    """Approve before the timer does."""
    await _wait_for(api, order_id, OrderState.IN_REVIEW)
    await api.review(order_id, approved=True, reviewer=REVIEWER)


async def reject(api: Api, order_id: str) -> None:
    """Reject before the timer approves."""
    await _wait_for(api, order_id, OrderState.IN_REVIEW)
    await api.review(order_id, approved=False, reviewer=REVIEWER, reason="looks odd")


async def wait_until_accepted(api: Api, order_id: str) -> None:
    """Wait until the order has a row."""
    await retry(lambda: api.order(order_id), on=ApiError, seconds=DEADLINE, pause=_POLL)


async def _wait_for(api: Api, order_id: str, state: OrderState) -> None:
    """Wait until the order is in the state or has ended."""
    events = {"dispatch_failed"} if state is OrderState.SHIPPING else set()

    async def is_reached() -> bool:
        order = await api.order(order_id)
        recorded = {event["type"] for event in order["events"]}
        return order["state"] in ENDS or (order["state"] == state and events <= recorded)

    await poll(is_reached, seconds=DEADLINE, pause=_POLL)
