"""Place an order and change it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from orderfleet.domain.orders import OrderState
from orderfleet_cli.api import Api, ApiError, Json, open_api
from orderfleet_cli.errors import CommandError, UsageError
from orderfleet_cli.output import one_line, show, show_json
from orderfleet_cli.settings import ClientSettings, read

_POLL: Final = 0.3
# An order ends in the time it has; beyond it, nobody is working on it.
_GRACE: Final = 10.0
_QUEUED: Final = "queued"
_ITEM_PARTS: Final = ("sku", "quantity", "price")


@asynccontextmanager
async def the_api() -> AsyncIterator[Api]:
    """Open the API that the settings name."""
    settings = read(ClientSettings)
    async with open_api(settings.url, settings.api_key) as api:
        yield api


def parse_item(text: str) -> Json:
    """Return an item of an order from SKU[:QTY[:PRICE]].

    Raises:
        UsageError: it is something else.
    """
    parts = text.split(":")
    item: Json = dict(zip(_ITEM_PARTS, parts, strict=False))
    if len(parts) > len(_ITEM_PARTS) or not all(parts):
        raise UsageError(f"--item {text!r}: wanted SKU[:QTY[:PRICE]], for example ABC:2:12.50")
    if "quantity" in item:
        if not item["quantity"].isdecimal():
            raise UsageError(f"--item {text!r}: {item['quantity']!r} is no quantity")
        item["quantity"] = int(item["quantity"])
    return item


async def start(order_id: str, order: Mapping[str, Any], *, wait: bool, as_json: bool) -> None:
    """Place an order; wait for its end if that is wanted.

    Raises:
        CommandError: it was refused or, waited for, not fulfilled.
    """
    async with the_api() as api:
        accepted = await api.start(order_id, order)
        if not wait:
            if as_json:
                show_json(accepted)
            else:
                show(f"{order_id}: accepted, {accepted['state']}")
            return
        ended = await _end(api, order_id, quiet=as_json)
    if as_json:
        show_json(ended)
    if ended["state"] != OrderState.FULFILLED:
        raise CommandError(f"{order_id} ended {ended['state']}{_reason(ended)}")


async def cancel_order(order_id: str, reason: str, *, as_json: bool) -> None:
    """Cancel an order."""
    async with the_api() as api:
        _show_change(await api.cancel(order_id, reason), as_json=as_json)


async def change_address(order_id: str, new: Mapping[str, str], *, as_json: bool) -> None:
    """Change where an order goes."""
    async with the_api() as api:
        _show_change(await api.update_address(order_id, new), as_json=as_json)


async def review_order(
    order_id: str, *, approved: bool, reviewer: str, reason: str, as_json: bool
) -> None:
    """Approve or reject an order."""
    async with the_api() as api:
        change = await api.review(order_id, approved=approved, reviewer=reviewer, reason=reason)
        _show_change(change, as_json=as_json)


def _show_change(change: Json, *, as_json: bool) -> None:
    if as_json:
        show_json(change)
    elif change["outcome"] == _QUEUED:
        said = "queued: no worker answered in time; the next one applies the change"
        show(f"{change['order_id']}: {said}")
    else:
        show(f"{change['order_id']}: {change['outcome']}; it is {change['state']}")


async def _end(api: Api, order_id: str, *, quiet: bool) -> Json:
    """Return the record of the order once it has ended, saying each event unless quiet."""
    told = 0
    patience = float((await api.status(order_id))["seconds_left"]) + _GRACE
    try:
        async with asyncio.timeout(patience):
            while True:
                order = await _record(api, order_id)
                for event in order["events"][told:] if order else ():
                    told = event["number"]
                    if not quiet:
                        show(f"{order_id}: {event['type']}")
                if order and OrderState(order["state"]).ended:
                    return order
                await asyncio.sleep(_POLL)
    except TimeoutError:
        raise CommandError(f"{order_id} has not ended: is a worker running?") from None


async def _record(api: Api, order_id: str) -> Json | None:
    """Return the record, or None while there is none: an order may be accepted without its row."""
    with contextlib.suppress(ApiError):
        return await api.order(order_id)
    return None


def _reason(order: Json) -> str:
    ends = [event["payload"] for event in order["events"] if event["type"] == order["state"]]
    reason = ends[-1].get("reason") if ends else ""
    return f": {one_line(str(reason))}" if reason else ""
