"""A live board of orders: a table on a terminal, a line per change elsewhere."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Final

from rich.console import Group
from rich.live import Live

from orderfleet.domain.orders import OrderState
from orderfleet_cli.api_client import Api, open_configured_api
from orderfleet_cli.errors import UNREACHABLE, CommandError
from orderfleet_cli.order_progress import OrderProgress
from orderfleet_cli.printing import console, show_json_line, table

_REFRESH: Final = 4
# Each look is a query to the worker of every open order.
_POLL: Final = 0.5
# Open orders are looked for among so many of the latest.
_PAGE: Final = 200
_ENDS: Final = frozenset(state.value for state in OrderState if state.ended)


class OrderBoard:
    """The orders that are watched, the latest first."""

    def __init__(self, *, as_json: bool) -> None:
        self.rows: dict[str, OrderProgress] = {}
        self.problem = ""
        self._as_json = as_json
        self._console = console()
        self._live = self._console.is_terminal and not as_json

    def live(self) -> AbstractContextManager[object]:
        """Show the board until the block ends, and leave its last state on the terminal."""
        if not self._live:
            return nullcontext()
        return Live(console=self._console, get_renderable=self._table, refresh_per_second=_REFRESH)

    async def follow(self, api: Api, order_id: str) -> None:
        """Ask once for the status of an order that has not ended."""
        row = self.rows.setdefault(order_id, OrderProgress())
        if row.state not in _ENDS and row.update(await api.status(order_id)):
            self._note(order_id, row)

    def keep(self, order_ids: Sequence[str]) -> None:
        """Keep these orders only, in this sequence."""
        self.rows = {id_: self.rows.get(id_) or OrderProgress() for id_ in order_ids}

    def show_problem(self, problem: str) -> None:
        """Show why there is no answer, until the next call; empty if there is an answer."""
        if problem and problem != self.problem and not self._live:
            console(error=True).print(problem)
        self.problem = problem

    def _note(self, order_id: str, row: OrderProgress) -> None:
        if self._live:
            return
        now = datetime.now(UTC)
        if self._as_json:
            show_json_line(
                {
                    "time": now,
                    "order_id": order_id,
                    "state": row.state,
                    "step": row.step,
                    "attempts": row.attempts,
                    "seconds_left": row.seconds_left,
                }
            )
        else:
            step = f" ({row.step})" if row.step else ""
            print(f"{now:%H:%M:%S}  {order_id}  {row.state}{step}", flush=True)

    def _table(self) -> Group:
        rows = (
            (order_id, row.state, row.step, str(row.attempts or ""), row.left)
            for order_id, row in self.rows.items()
        )
        board = table("order", "state", "step", "tries", "left", rows=rows)
        return Group(board, self.problem or ("" if self.rows else "no open orders"))


async def watch_orders(order_ids: Sequence[str], *, limit: int, as_json: bool) -> None:
    """Watch the named orders until they have ended, or the open ones until a signal comes.

    Raises:
        CommandError: the first request failed, or there is no such order.
    """
    board = OrderBoard(as_json=as_json)
    # An id may be repeated on the command line.
    named = list(dict.fromkeys(order_ids))
    async with open_configured_api() as api:
        await _look(api, board, named, limit)
        with board.live():
            while not named or any(row.state not in _ENDS for row in board.rows.values()):
                await asyncio.sleep(_POLL)
                try:
                    await _look(api, board, named, limit)
                    board.show_problem("")
                except CommandError as error:
                    if error.exit_code != UNREACHABLE:
                        raise
                    board.show_problem(str(error))


async def _look(api: Api, board: OrderBoard, named: Sequence[str], limit: int) -> None:
    if not named:
        page = await api.orders(limit=_PAGE)
        # An order that ended on the board stays there as long as it is among the latest.
        watched = [
            order["id"]
            for order in page["orders"]
            if order["state"] not in _ENDS or order["id"] in board.rows
        ]
        board.keep(watched[:limit])
    await asyncio.gather(*(board.follow(api, id_) for id_ in named or list(board.rows)))
