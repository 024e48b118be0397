"""The command `load`, an open loop: each order is sent when it is due.

A closed loop would wait for answers, so that a slow fleet would get less load and look better.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import uuid4

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from orderfleet.domain.orders import OrderState
from orderfleet.polling import poll
from orderfleet_cli.api_client import (
    Api,
    ApiError,
    Json,
    open_configured_api,
    start_when_asked,
)
from orderfleet_cli.errors import CommandError
from orderfleet_cli.load.results import Results
from orderfleet_cli.printing import console, show, show_json

_WAIT: Final = 20.0
_POLL: Final = 1.0
_PAGE: Final = 500
# How often a refused order is sent again.
_REPEATS: Final = 5
_ADDRESS: Final = {"street": "1 Main St", "city": "Springfield"}
_ENDS: Final = frozenset(state.value for state in OrderState if state.ended)


async def place_load(
    rate: float,
    seconds: float,
    deadline: float,
    *,
    background: bool,
    retry_after: bool,
    as_json: bool,
) -> bool:
    """Place the orders, wait for their ends, show the results; return whether all ended in time.

    With `retry_after`, send a refused order again after the time that the API asks for.

    Raises:
        CommandError: the first request to the API fails.
    """
    results = Results(deadline=deadline)
    async with open_configured_api(background=background) as api:
        # A wrong address or key fails here, before an order is placed.
        await api.orders(limit=1)
        total = round(rate * seconds)
        with _progress(results, total) as update:
            await _place(api, rate, total, _REPEATS if retry_after else 0, results, update)
            await _wait(api, results, update)
    if as_json:
        show_json(results.document())
    else:
        show(results.table())
    return results.passed


@contextmanager
def _progress(results: Results, total: int) -> Iterator[Callable[[], None]]:
    """Show how many orders are placed and how many have ended; yield what updates the bars."""
    out = console(error=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        placed = progress.add_task("placed", total=total)
        ended = progress.add_task("ended", total=total)

        def update() -> None:
            progress.update(placed, completed=results.answered)
            progress.update(ended, completed=len(results.ends))

        yield update


async def _place(
    api: Api,
    rate: float,
    total: int,
    repeats: int,
    results: Results,
    update: Callable[[], None],
) -> None:
    """Send each order when it is due; return when all are answered."""
    run = uuid4().hex[:8]
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(total):
            due = began + number / rate
            await asyncio.sleep(due - time.monotonic())
            group.create_task(_send(api, f"load-{run}-{number}", due, repeats, results))
            update()
    update()


async def _send(api: Api, order_id: str, due: float, repeats: int, results: Results) -> None:
    order = {"payment_id": f"pay-{order_id}", "address": _ADDRESS}
    try:
        await start_when_asked(api, order_id, order, repeats=repeats, on_repeat=results.repeat)
        results.accept(order_id, time.monotonic() - due)
    except ApiError as error:
        results.refuse(f"{error.status} {error.reason}".rstrip())
    except CommandError:
        results.refuse("no answer")


async def _wait(api: Api, results: Results, update: Callable[[], None]) -> None:
    """Look for the ends of the accepted orders until all have ended, 20 s at the most."""

    async def all_ended() -> bool:
        # The next look repeats a request that failed.
        with suppress(CommandError):
            await _look(api, results)
        update()
        return not results.open

    await poll(all_ended, seconds=_WAIT, pause=_POLL)


async def _look(api: Api, results: Results) -> None:
    """Page through the listing, from the newest order to the oldest that has not ended."""
    sought = set(results.open)
    cursor: str | None = ""
    while sought and cursor is not None:
        query = {"cursor": cursor} if cursor else {}
        page = await api.orders(limit=_PAGE, **query)
        for order in page["orders"]:
            if order["id"] in sought and order["state"] in _ENDS:
                results.end(order, await _ended_at(api, order))
            sought.discard(order["id"])
        cursor = page["next"]


async def _ended_at(api: Api, order: Json) -> str:
    """Return when the order ended; a refund updates its row once more after the end."""
    if order["state"] == OrderState.FULFILLED:
        return str(order["updated_at"])
    events = (await api.order(order["id"]))["events"]
    return str(next(event["ts"] for event in events if event["type"] in _ENDS))
