"""Place an order, and wait for its end."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from orderfleet.domain.orders import OrderState
from orderfleet_cli.api_client import Api, ApiError, Json, open_configured_api
from orderfleet_cli.errors import CommandError, UsageError
from orderfleet_cli.printing import one_line, show, show_json

_POLL: Final = 0.3
# An order ends in the time it has; beyond it, nobody is working on it.
_GRACE: Final = 10.0
_ITEM_PARTS: Final = ("sku", "quantity", "price")


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


async def place_order(
    order_id: str, order: Mapping[str, Any], *, wait: bool, as_json: bool
) -> None:
    """Place an order; wait for its end if that is wanted.

    Raises:
        CommandError: it was refused or, waited for, not fulfilled.
    """
    async with open_configured_api() as api:
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
