"""Whether the fleet shows life: Temporal answers, and workers poll that take new orders."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.temporal.client import is_away
from orderfleet.temporal.queue_workers import QueueWorkers, list_queue_workers

# Far longer than Temporal takes for it under full load.
_WITHIN: Final = timedelta(seconds=2.5)
# A single failure may be a connection that broke.
_FAILING_SECONDS: Final = 1.0
# A look is four calls. An order that was started shows as well that Temporal answers, and who
# has left the queues counts for 90 s.
_SILENT_SECONDS: Final = 2.0
_UNSEEN_SECONDS: Final = 10.0


class FleetLife:
    """What the last looks at Temporal's task queues found."""

    def __init__(self, queues: Sequence[str], clock: Callable[[], float]) -> None:
        self._queues = queues
        self._clock = clock
        self._failing_since: float | None = None
        self._unpolled: list[str] = []
        self._unpolled_since = clock()
        self._heard_at = self._looked_at = float("-inf")
        self._look: asyncio.Task[None] | None = None

    @property
    def suspect(self) -> bool:
        """Whether the last look found no life."""
        return self._failing_since is not None or bool(self._unpolled)

    @property
    def due(self) -> bool:
        """Whether it is time for a look: none was for long, or something may be wrong."""
        now = self._clock()
        silent = now - self._heard_at >= _SILENT_SECONDS
        return self.suspect or silent or now - self._looked_at >= _UNSEEN_SECONDS

    @property
    def away(self) -> str:
        """Why nobody would work on an order; empty if somebody would, or nobody has looked yet."""
        since = self._failing_since
        if since is not None and self._clock() - since >= _FAILING_SECONDS:
            return "Temporal is unavailable."
        return f"No worker polls {' and '.join(self._unpolled)}." if self._unpolled else ""

    @property
    def away_seconds(self) -> float:
        """For how long."""
        since = self._failing_since
        return self._clock() - (self._unpolled_since if since is None else since)

    def answered(self) -> None:
        """Note that Temporal has answered."""
        self._failing_since = None
        self._heard_at = self._clock()

    async def look(self, client: Client) -> None:
        """Ask Temporal who polls the queues; all who ask at once share one answer."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._ask(client))
        await asyncio.shield(self._look)

    async def confirm(self, client: Client) -> None:
        """Look again if no worker polled: one may have come since."""
        if self._unpolled and self._failing_since is None:
            await self.look(client)

    async def _ask(self, client: Client) -> None:
        try:
            async with asyncio.timeout(_WITHIN.total_seconds()):
                asked = [
                    list_queue_workers(client, name, lately=True, rpc_timeout=_WITHIN)
                    for name in self._queues
                ]
                queues = await asyncio.gather(*asked)
        except (RPCError, RuntimeError, TimeoutError) as error:
            if is_away(error):
                self._failed()
            elif isinstance(error, RPCError):
                # Temporal is there, but does not say who polls: it has no such call or right.
                self._found([])
            else:
                raise
        else:
            self._found([*filter(None, map(_unpolled, self._queues, queues))])

    def _found(self, unpolled: list[str]) -> None:
        self.answered()
        self._looked_at = self._clock()
        if not self._unpolled:
            self._unpolled_since = self._clock()
        self._unpolled = unpolled

    def _failed(self) -> None:
        if self._failing_since is None:
            self._failing_since = self._clock()


def _unpolled(name: str, queue: QueueWorkers) -> str:
    """Return the name of a queue where no worker would take a new order, else an empty text.

    A worker that has left is life for a while: another one may be about to replace it.

    While no build is current any worker is life: the next one that begins to poll is promoted, as
    when the only worker of a queue restarts.
    """
    build = queue.current
    if queue.of(build) if build else queue.workers:
        return ""
    return f"{name} (build {build})" if build else name
