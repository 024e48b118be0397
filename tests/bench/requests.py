"""A closed loop of GETs: how many a server answers, and at what cost."""

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from itertools import cycle

from msgspec import Struct

from tests.bench.http import Connection
from tests.bench.spread import percentiles
from tests.bench.usage import Tree


class Answered(Struct, frozen=True):
    """What a server did in so many seconds."""

    per_second: float
    cpu_seconds: float
    """Of the server, for each request."""
    seconds: dict[str, float]
    failed: int


async def get(
    port: int, paths: Sequence[str], tree: Tree, *, seconds: float, connections: int
) -> Answered:
    """Ask for the paths by turns, on so many connections at once."""
    turns = cycle(paths)
    taken: list[float] = []
    statuses: list[int] = []
    until = time.monotonic() + seconds

    async def ask() -> None:
        connection = await Connection.open(port)
        while (began := time.monotonic()) < until:
            statuses.append(await connection.ask("GET", next(turns)))
            taken.append(time.monotonic() - began)
        connection.writer.close()

    before, began = tree.cpu(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(ask())
    took = time.monotonic() - began
    return Answered(
        len(taken) / took,
        (tree.cpu() - before) / len(taken),
        percentiles(taken),
        len(statuses) - statuses.count(HTTPStatus.OK),
    )
