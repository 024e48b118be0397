"""The table of builds in docs/versions.md, at the end of a run."""

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Final, cast

import pytest

from tests.support.summaries import noted

_PROPERTY: Final = "build"
_HEAD: Final = (
    "build",
    "what the gate said",
    "seconds",
    "orders",
    "on the build",
    "hurt",
    "late",
    "other orders hurt",
    "lost",
    "refused",
)


@dataclass(frozen=True)
class Row:
    """What became of a build, and of the orders of its run."""

    build: str
    reason: str
    seconds: float
    orders: int
    share: int
    hurt: int
    # With the seconds of the slowest.
    late: str
    others: int
    lost: int
    # By admission: a client places them again.
    refused: int

    def __str__(self) -> str:
        return _line(f"{cell:.0f}" if isinstance(cell, float) else cell for cell in astuple(self))


@dataclass(frozen=True)
class Rows:
    """Keeps a test's rows among its properties, which its report has too."""

    properties: list[tuple[str, object]]

    def add(self, row: Row) -> None:
        self.properties.append((_PROPERTY, str(row)))


def table(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    """Yield the table of all tests that ran."""
    rows = cast("list[str]", noted(terminalreporter, _PROPERTY))
    if rows:
        yield _line(_HEAD)
        yield _line("---" for _ in _HEAD)
    yield from rows


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
