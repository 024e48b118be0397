"""Print results: tables and lines for people, JSON for programs."""

import sys
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from rich.console import Console, RenderableType
from rich.table import Table

# Off a terminal no line is wrapped.
_PIPE_WIDTH: Final = 1000


def console(*, error: bool = False) -> Console:
    """Return a console that does not interpret text."""
    terminal = (sys.stderr if error else sys.stdout).isatty()
    return Console(
        stderr=error,
        width=None if terminal else _PIPE_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not terminal,
    )


def show(*parts: RenderableType) -> None:
    """Print tables and lines; off a terminal, without the trailing blanks of a table's rows."""
    out = console()
    if out.is_terminal:
        out.print(*parts, sep="\n")
        return
    with out.capture() as captured:
        out.print(*parts, sep="\n")
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


def show_json(document: Any) -> None:
    """Print one JSON document."""
    encoded = msgspec.json.format(msgspec.json.encode(document), indent=2)
    print(encoded.decode(), flush=True)


def show_json_line(document: Any) -> None:
    """Print one JSON document of a stream on one line."""
    print(msgspec.json.encode(document).decode(), flush=True)


def table(*columns: str, rows: Iterable[Iterable[str]]) -> Table:
    """Return a table without borders."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def fields(pairs: Iterable[tuple[str, str]]) -> Table:
    """Return a table of names and values, without the empty values."""
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            grid.add_row(name, value)
    return grid


def one_line(text: str) -> str:
    """Return foreign text as one line without control characters."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))


def moment(timestamp: str) -> str:
    """Return the API's time to the millisecond, without the T: 2026-01-31 12:00:00.123."""
    return timestamp[:23].rstrip("Z").replace("T", " ")
