"""Show the feed of events: a page, or events as they come."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from orderfleet_cli.api_client import Json, open_configured_api
from orderfleet_cli.errors import UNREACHABLE, CommandError
from orderfleet_cli.printing import (
    console,
    moment,
    one_line,
    show,
    show_json,
    show_json_line,
    table,
)

_RECONNECT_SECONDS: Final = 1.0
_COLUMNS: Final = ("time (UTC)", "order", "no", "event", "state", "")


async def show_events(
    wanted: Mapping[str, Sequence[str]], after: str | None, limit: int, *, as_json: bool
) -> None:
    """Show a page of events."""
    async with open_configured_api() as api:
        page = await api.events({**wanted, "after": after or "", "limit": limit})
    if as_json:
        show_json(page)
        return
    show(table(*_COLUMNS, rows=(_row(event) for event in page["events"])))
    console(error=True).print(f"more: --after {page['cursor']}")


async def follow_events(
    wanted: Mapping[str, Sequence[str]], after: str | None, *, as_json: bool
) -> None:
    """Show events as they come, a line each, from the cursor or from now on.

    Raises:
        CommandError: the first request failed, or the API refuses it.
    """
    connected = False
    async with open_configured_api() as api:
        while True:
            start = {} if after is None else {"after": after}
            try:
                async for cursor, event in api.follow({**wanted, **start}):
                    after, connected = cursor, True
                    if event is None:
                        continue
                    if as_json:
                        show_json_line({"cursor": cursor, **event})
                    else:
                        print("  ".join(filter(None, _row(event))), flush=True)
            except CommandError as error:
                if error.exit_code != UNREACHABLE or not connected:
                    raise
                console(error=True).print(str(error))
            await asyncio.sleep(_RECONNECT_SECONDS)


def _row(event: Json) -> tuple[str, ...]:
    data = event["data"]
    payload = msgspec.json.encode(data["payload"]).decode() if data["payload"] else ""
    return (
        moment(event["time"]),
        data["order_id"],
        str(data["sequence"]),
        event["type"],
        data["state"],
        one_line(payload),
    )
