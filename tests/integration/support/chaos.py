"""A pool whose statements come late or lose their acknowledgement."""

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Any, Final, cast

from orderfleet.store.pool import Pool

_STATEMENTS: Final = frozenset({"execute", "fetch", "fetchrow", "fetchval"})


class Fate(Enum):
    """What becomes of a statement."""

    FINE = auto()
    LOST_BEFORE = auto()
    """The connection broke before Postgres had it."""
    LOST_AFTER = auto()
    """It was committed, and the connection broke before the acknowledgement came."""


class _ChaosPool:
    def __init__(self, pool: Pool, fate: Callable[[], tuple[Fate, float]]) -> None:
        self._pool = pool
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        statement = getattr(self._pool, name)
        if name not in _STATEMENTS:
            return statement

        async def run(*args: Any) -> Any:
            fate, pause = self._fate()
            await asyncio.sleep(pause)
            if fate is Fate.LOST_BEFORE:
                raise ConnectionResetError("lost before")
            result = await statement(*args)
            await asyncio.sleep(pause)
            if fate is Fate.LOST_AFTER:
                raise ConnectionResetError("lost after")
            return result

        return run


def chaos(pool: Pool, fate: Callable[[], tuple[Fate, float]]) -> Pool:
    """Return the pool with the fate of each statement, and its pause in seconds, in its way."""
    return cast("Pool", _ChaosPool(pool, fate))


def fated(pool: Pool, fates: Iterable[Fate]) -> Pool:
    """Return the pool with these fates for its first statements; all later ones are fine."""
    coming = iter(fates)
    return chaos(pool, lambda: (next(coming, Fate.FINE), 0.0))
