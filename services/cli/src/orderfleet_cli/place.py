"""Place an order, and wait for its end."""

import contextlib
from collections.abc import Mapping
from typing import Any, Final

from orderfleet.domain.orders import OrderState
from orderfleet.polling import poll
from orderfleet_cli.api_client import Api, ApiError, Json, open_configured_api
from orderfleet_cli.errors import CommandError
from orderfleet_cli.printing import one_line, show, show_json

_POLL: Final = 0.3
# An order that is open so long after its deadline has no worker.
_GRACE_SECONDS: Final = 10.0


async def place_order(
    order_id: str, order: Mapping[str, Any], *, wait: bool, as_json: bool
) -> None:
    """Place an order; with `wait`, wait for its end.

    Raises:
        CommandError: the order was refused, or `wait` is set and it was not fulfilled.
    """
    async with open_configured_api() as api:
        accepted = await api.start(order_id, order)
        if not wait:
            if as_json:
                show_json(accepted)
            else:
                show(f"{order_id}: accepted, {accepted['state']}")
            return
        record = await _wait_for_end(api, order_id, quiet=as_json)
    if as_json:
        show_json(record)
    if (state := record["state"]) != OrderState.FULFILLED:
        raise CommandError(f"{order_id} ended {state}{_reason(record)}")


async def _wait_for_end(api: Api, order_id: str, *, quiet: bool) -> Json:
    """Return the record of the order once it has ended; print each event unless quiet."""
    printed = 0

    async def look() -> Json | None:
        nonlocal printed
        order = await _record(api, order_id)
        for event in order["events"][printed:] if order else ():
            printed = event["number"]
            if not quiet:
                show(f"{order_id}: {event['type']}")
        return order if order and OrderState(order["state"]).ended else None

    seconds = float((await api.status(order_id))["seconds_left"]) + _GRACE_SECONDS
    order = await poll(look, seconds=seconds, pause=_POLL)
    if order is None:
        raise CommandError(f"timed out waiting for {order_id} (see `orderfleet doctor`)")
    return order


async def _record(api: Api, order_id: str) -> Json | None:
    """Return the record, or None if there is none yet: acceptance does not wait for the row."""
    with contextlib.suppress(ApiError):
        return await api.order(order_id)
    return None


def _reason(order: Json) -> str:
    payloads = [event["payload"] for event in order["events"] if event["type"] == order["state"]]
    reason = payloads[-1].get("reason") if payloads else ""
    return f": {one_line(str(reason))}" if reason else ""
