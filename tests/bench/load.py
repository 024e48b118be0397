"""An open loop: each order is sent when it is due, however the ones before it fare.

A closed loop would send fewer the slower the answers come, and hide what it is to find out.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

# A client that gets no answer for so long would not wait either.
_PATIENCE: Final = 10.0


@dataclass
class Placed:
    """What was placed, by order: when it was due, and how long its acceptance took from then."""

    due: dict[str, float] = field(default_factory=dict)
    accepted: dict[str, float] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def began(self) -> float:
        return min(self.due.values())


@dataclass(frozen=True)
class Rate:
    """Orders a second over time: a plateau, then rising until somebody calls it off."""

    plateau: float
    plateau_seconds: float
    rise: float = 0.0
    """Orders a second more with each second after the plateau; none ends with it."""

    def moments(self) -> Iterator[float]:
        """Yield when each order is due, in seconds from the start."""
        count = round(self.plateau * self.plateau_seconds)
        yield from (number / self.plateau for number in range(count))
        if not self.rise:
            return
        at, rate = self.plateau_seconds, self.plateau
        while True:
            yield at
            at += 1 / rate
            rate = self.plateau + self.rise * (at - self.plateau_seconds)


async def place(
    prefix: str,
    rate: Rate,
    send: Callable[[str], Awaitable[None]],
    stop: asyncio.Event | None = None,
) -> Placed:
    """Place orders until the rate ends or `stop` is set, and return when all are answered."""
    placed = Placed()
    began = time.time()
    async with asyncio.TaskGroup() as group:
        for number, moment in enumerate(rate.moments()):
            await asyncio.sleep(began + moment - time.time())
            if stop is not None and stop.is_set():
                break
            order_id = f"{prefix}-{number}"
            placed.due[order_id] = began + moment
            group.create_task(_send(order_id, send, placed))
    return placed


async def _send(order_id: str, send: Callable[[str], Awaitable[None]], placed: Placed) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            await send(order_id)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is no acceptance, and counted)
        placed.refused[f"{type(error).__name__} {error}".strip()] += 1
    else:
        placed.accepted[order_id] = time.time() - placed.due[order_id]
