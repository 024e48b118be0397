"""A closed loop of GETs on kept-alive connections, by hand.

A client library costs more CPU for a request than the servers that it would measure.
"""

import asyncio
import time
from itertools import cycle
from typing import Final

from msgspec import Struct

from orderfleet_cli.local.ports import LOOPBACK
from tests.bench.spread import percentiles
from tests.bench.usage import Tree

_LENGTH: Final = b"content-length:"


class Answered(Struct, frozen=True):
    """What a server did in so many seconds."""

    per_second: float
    cpu_seconds: float
    """Of the server, for each request."""
    seconds: dict[str, float]
    failed: int


async def get(
    port: int, paths: list[str], tree: Tree, *, seconds: float, connections: int
) -> Answered:
    """Ask for the paths by turns, on so many connections at once."""
    turns = cycle(paths)
    taken: list[float] = []
    statuses: list[bool] = []
    until = time.monotonic() + seconds

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        while (began := time.monotonic()) < until:
            path = next(turns)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode())
            statuses.append(await _answer(reader))
            taken.append(time.monotonic() - began)
        writer.close()

    before, began = tree.cpu(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(ask())
    took = time.monotonic() - began
    return Answered(
        len(taken) / took,
        (tree.cpu() - before) / len(taken),
        percentiles(taken),
        statuses.count(False),
    )


async def _answer(reader: asyncio.StreamReader) -> bool:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        line[len(_LENGTH) :] for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH)
    )
    await reader.readexactly(int(length))
    return b" 200 " in head.partition(b"\r\n")[0]
