"""Show the demo's orders as they go: a live table on a terminal, a line per change elsewhere."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from orderfleet_cli.api_client import Api
from orderfleet_cli.demo.actions import ENDS
from orderfleet_cli.demo.scenario import Scenario
from orderfleet_cli.errors import CommandError
from orderfleet_cli.order_progress import OrderProgress

_REFRESH: Final = 4
# Each status is a query to the order worker: 25 orders at 4 Hz cost it half a core.
_POLL: Final = 0.4
# Minimum widths: these columns keep their place in a narrow window.
_ID_WIDTH: Final = 21
_STATE_WIDTH: Final = 9
_STEP_WIDTH: Final = 8
_LEFT_WIDTH: Final = 6


@dataclass(kw_only=True)
class Row(OrderProgress):
    """A row of the board."""

    scenario: Scenario


class ScenarioBoard:
    """The orders of the demo and their progress."""

    def __init__(self, console: Console, scenarios: Iterable[Scenario]) -> None:
        self.first_fulfilled: float | None = None
        self._console = console
        self._rows = {scenario.order_id: Row(scenario=scenario) for scenario in scenarios}
        self._began = time.monotonic()

    def live(self) -> AbstractContextManager[object]:
        """Show the board until the block ends."""
        if not self._console.is_terminal:
            return nullcontext()
        return Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=_REFRESH,
            transient=True,
        )

    async def follow(self, api: Api, scenario: Scenario) -> None:
        """Follow an order until it has ended."""
        row = self._rows[scenario.order_id]
        while True:
            # A failed status is asked again; the verdict comes from the record.
            with suppress(CommandError):
                if row.update(await api.status(scenario.order_id)):
                    self._note(row)
            if row.state in ENDS:
                return
            await asyncio.sleep(_POLL)

    def set(self, scenario: Scenario, state: str) -> None:
        """Show the state of an order that has no status."""
        row = self._rows[scenario.order_id]
        row.state = state
        self._note(row)

    def _note(self, row: Row) -> None:
        if row.state == "fulfilled" and self.first_fulfilled is None:
            self.first_fulfilled = time.time()
        if not self._console.is_terminal:
            seconds = time.monotonic() - self._began
            self._console.print(f"{seconds:5.1f} s  {row.scenario.order_id:<22} {row.state}")

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("order", no_wrap=True, min_width=_ID_WIDTH)
        table.add_column("scenario", no_wrap=True)
        table.add_column("state", no_wrap=True, min_width=_STATE_WIDTH)
        table.add_column("step", no_wrap=True, min_width=_STEP_WIDTH)
        table.add_column("tries", justify="right", no_wrap=True)
        table.add_column("left", justify="right", no_wrap=True, min_width=_LEFT_WIDTH)
        # Open orders first: a small window cuts the table off at the bottom.
        for row in sorted(self._rows.values(), key=_has_ended):
            table.add_row(
                row.scenario.order_id,
                row.scenario.title,
                row.state,
                row.step,
                str(row.attempts or ""),
                row.left,
            )
        return table


def _has_ended(row: Row) -> bool:
    return row.state in (*ENDS, *row.scenario.ends)
