"""Connections that watch their statements: the one place that knows all ways to make one."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from orderfleet.store.pool import Connection


class WatchedConnection(Connection):
    """A connection with something around each statement of the fleet.

    Classes that watch may be laid over one another: each one's `around` holds that of the next.
    The pool's own statements go other ways.
    """

    __slots__ = ()

    def around(self, query: str) -> AbstractContextManager[None]:  # noqa: ARG002 (others look)
        """Return what a statement is made within."""
        return nullcontext()

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """Execute a statement."""
        with self.around(query):
            return await super().execute(query, *args, **options)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """Fetch all rows."""
        with self.around(query):
            return await super().fetch(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """Fetch the first row."""
        with self.around(query):
            return await super().fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """Fetch the first value."""
        with self.around(query):
            return await super().fetchval(query, *args, **options)
