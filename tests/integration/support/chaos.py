"""A pool whose statements are delayed, lost, or lose their acknowledgement."""

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Any, Final, cast

from orderfleet.store.pool import Pool

_STATEMENTS: Final = frozenset({"execute", "fetch", "fetchrow", "fetchval"})


class Fate(Enum):
    """The outcome of a statement."""

    FINE = auto()
    LOST_BEFORE = auto()
    """The connection breaks before Postgres has the statement."""
    LOST_AFTER = auto()
    """Postgres commits; the connection breaks before the acknowledgement arrives."""


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
    """Return the pool; `fate` returns each statement's outcome and its delay in seconds."""
    return cast("Pool", _ChaosPool(pool, fate))


def fated(pool: Pool, fates: Iterable[Fate]) -> Pool:
    """Return the pool with these outcomes for its first statements; all later ones succeed."""
    coming = iter(fates)
    return chaos(pool, lambda: (next(coming, Fate.FINE), 0.0))
