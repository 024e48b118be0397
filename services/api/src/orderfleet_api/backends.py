"""Postgres and Temporal as the routes reach them: bounded in time, and 503 when they are away."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import structlog
from msgspec import Struct, field
from prometheus_client import CollectorRegistry
from temporalio.client import Client, RPCTimeoutOrCancelledError
from temporalio.service import RPCError

from orderfleet.store.pool import UNAVAILABLE, Pool
from orderfleet.temporal.client import is_absent
from orderfleet_api import errors
from orderfleet_api.bulkheads import Bulkhead, Bulkheads
from orderfleet_api.metrics import ApiMetrics
from orderfleet_api.settings import ApiSettings

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")


class Backends(Struct, frozen=True):
    """What the routes work with."""

    pool: Pool
    temporal: Client
    settings: ApiSettings
    # Set when the process has been asked to stop: what would go on ends.
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: ApiMetrics = field(default_factory=lambda: ApiMetrics(CollectorRegistry()))
    bulkheads: Bulkheads = field(
        default_factory=lambda: Bulkheads(ApiSettings(), CollectorRegistry())
    )

    async def start(self, call: Coroutine[Any, Any, T]) -> T:
        """Await the start of an order, which has a bulkhead of its own; see `ask`."""
        return await self._ask(self.bulkheads.starts, call)

    async def ask(self, call: Coroutine[Any, Any, T]) -> T:
        """Await a call of Temporal that needs no worker, no longer than the settings allow.

        Raises:
            RPCError: Temporal does not know the workflow.
            ProblemDetailsException: it took longer, or Temporal is full, busy or away.
        """
        return await self._ask(self.bulkheads.temporal_calls, call)

    async def ask_worker(self, seconds: float, call: Coroutine[Any, Any, T]) -> T:
        """Await a call that a worker answers for so long.

        Raises:
            TimeoutError: it took longer.
            RPCError: Temporal does not know the workflow.
            ProblemDetailsException: there are too many, or Temporal is busy or away.
        """
        with closing(call):
            async with self.bulkheads.worker_calls:
                return await within(seconds, call)

    async def _ask(self, bulkhead: Bulkhead, call: Coroutine[Any, Any, T]) -> T:
        try:
            # Closed if it is not let in: else Python warns that nobody awaited it.
            with closing(call):
                async with bulkhead:
                    return await within(self.settings.temporal_wait_seconds, call)
        except TimeoutError:
            raise errors.unavailable("Temporal is away") from None


async def within(seconds: float, call: Awaitable[T]) -> T:
    """Await a call of Temporal for so long.

    The bound is asyncio's: the client retries beyond its own `rpc_timeout` (6.3 s at 2 s), and a
    query without a worker never returns.

    Raises:
        TimeoutError: it took longer.
        RPCError: Temporal does not know the workflow.
        ProblemDetailsException: Temporal is busy or away.
    """
    try:
        async with asyncio.timeout(seconds):
            return await call
    except RPCTimeoutOrCancelledError:
        raise TimeoutError from None
    except RPCError as error:
        if is_absent(error):
            raise
        raise errors.temporal_failed(error) from error
    except RuntimeError as error:
        # The SDK's word for a refused connection of a client that connects lazily.
        log.warning("Temporal failed", error=str(error))
        raise errors.unavailable("Temporal is away") from error


@contextmanager
def postgres() -> Iterator[None]:
    """Turn what a missing Postgres raises into 503."""
    try:
        yield
    except UNAVAILABLE as error:
        log.warning("Postgres failed", error=str(error) or type(error).__name__)
        raise errors.unavailable("Postgres is away") from error
