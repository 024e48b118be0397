"""Change an order: cancel it, change its address, decide its review."""

from collections.abc import Mapping
from typing import Final

from orderfleet_cli.api_client import Json, open_configured_api
from orderfleet_cli.printing import show, show_json

_QUEUED: Final = "queued"


async def cancel_order(order_id: str, reason: str, *, as_json: bool) -> None:
    """Cancel an order."""
    async with open_configured_api() as api:
        _show_change(await api.cancel(order_id, reason), as_json=as_json)


async def change_address(order_id: str, new: Mapping[str, str], *, as_json: bool) -> None:
    """Change the address of an order."""
    async with open_configured_api() as api:
        _show_change(await api.update_address(order_id, new), as_json=as_json)


async def review_order(
    order_id: str, *, approved: bool, reviewer: str, reason: str, as_json: bool
) -> None:
    """Approve or reject an order."""
    async with open_configured_api() as api:
        change = await api.review(order_id, approved=approved, reviewer=reviewer, reason=reason)
        _show_change(change, as_json=as_json)


def _show_change(change: Json, *, as_json: bool) -> None:
    order_id = change["order_id"]
    if as_json:
        show_json(change)
    elif change["outcome"] == _QUEUED:
        show(f"{order_id}: queued: no worker answered in time; the next one applies the change")
    else:
        show(f"{order_id}: {change['outcome']}, the order is {change['state']}")
