"""Postgres and Temporal for the routes: each call is bounded in time, an outage is 503."""

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
from orderfleet.temporal.client import is_absent, is_away
from orderfleet_api import errors
from orderfleet_api.admission import Admission
from orderfleet_api.bulkheads import Bulkhead, Bulkheads
from orderfleet_api.feed.metrics import FeedMetrics
from orderfleet_api.lost_orders import LostOrders
from orderfleet_api.metrics import ApiMetrics
from orderfleet_api.settings import ApiSettings

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")


class Backends(Struct, frozen=True):
    """What the routes work with."""

    pool: Pool
    temporal: Client
    settings: ApiSettings
    # Set when the process has been asked to stop: streams end then.
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: ApiMetrics = field(default_factory=lambda: ApiMetrics(CollectorRegistry()))
    bulkheads: Bulkheads = field(
        default_factory=lambda: Bulkheads(ApiSettings(), CollectorRegistry())
    )
    # Off unless somebody watches it.
    admission: Admission = field(
        default_factory=lambda: Admission(ApiSettings(admission="off"), CollectorRegistry())
    )
    feed_metrics: FeedMetrics = field(default_factory=lambda: FeedMetrics(CollectorRegistry()))
    lost_orders: LostOrders = field(default_factory=LostOrders)

    async def start_workflow(self, start: Coroutine[Any, Any, T]) -> T:
        """Await the start of an order, which has a bulkhead of its own.

        Raises:
            ProblemDetailsException: there are too many, or Temporal is busy or unavailable.
        """
        return await self._call(self.bulkheads.starts, start)

    async def call_temporal(self, call: Coroutine[Any, Any, T]) -> T:
        """Await a call of Temporal that needs no worker.

        Raises:
            RPCError: Temporal has no such workflow.
            ProblemDetailsException: there are too many, or Temporal is busy or unavailable.
        """
        return await self._call(self.bulkheads.temporal_calls, call)

    async def call_worker(
        self,
        call: Coroutine[Any, Any, T],
        *,
        timeout: float,  # noqa: ASYNC109 (each kind of call has its own, from the settings)
    ) -> T:
        """Await a call that a worker answers.

        Raises:
            TimeoutError: no worker answered in time.
            RPCError: Temporal has no such workflow.
            BulkheadFullError: there are too many such calls.
            ProblemDetailsException: Temporal is busy or unavailable.
        """
        # Closed also if it is never awaited, of which Python would warn.
        with closing(call):
            async with self.bulkheads.worker_calls:
                return await call_temporal(call, timeout=timeout)

    async def _call(self, bulkhead: Bulkhead, call: Coroutine[Any, Any, T]) -> T:
        try:
            with closing(call):
                async with bulkhead:
                    return await call_temporal(call, timeout=self.settings.temporal_wait_seconds)
        except TimeoutError:
            raise errors.unavailable("Temporal is unavailable.") from None


async def call_temporal(
    call: Awaitable[T],
    *,
    timeout: float,  # noqa: ASYNC109 (the errors of the call itself are told apart from it)
) -> T:
    """Await a call of Temporal for so many seconds.

    The bound is asyncio's: the client retries beyond its own `rpc_timeout` (6.3 s at 2 s), and a
    query without a worker never returns.

    Raises:
        TimeoutError: the time is over.
        RPCError: Temporal has no such workflow.
        ProblemDetailsException: Temporal is busy or unavailable.
    """
    try:
        async with asyncio.timeout(timeout):
            return await call
    except RPCTimeoutOrCancelledError:
        raise TimeoutError from None
    except RPCError as error:
        if is_absent(error):
            raise
        raise errors.temporal_failed(error) from error
    except RuntimeError as error:
        if not is_away(error):
            raise
        raise errors.temporal_failed(error) from error


@contextmanager
def postgres() -> Iterator[None]:
    """Turn an outage of Postgres into 503."""
    try:
        yield
    except UNAVAILABLE as error:
        log.warning("Postgres failed", error=str(error) or type(error).__name__)
        raise errors.unavailable("Postgres is unavailable.") from error
