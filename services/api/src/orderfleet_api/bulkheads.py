"""Bulkheads: a bound on each kind of concurrent work, so that no kind shuts out another.

Connections, event streams, Temporal calls that start an order, those that wait for a worker, all
other Temporal calls, and Postgres reads have one each. What exceeds the bound is refused with 503
at once; only a read waits for its turn first, for a short time.
"""

import asyncio
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Final

from litestar.plugins.problem_details import ProblemDetailsException
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from orderfleet_api import errors
from orderfleet_api.settings import ApiSettings

# A start takes Temporal 20 ms, an update or a query 50. At 250 orders a second the API uses up its
# core (4 ms each, docs/sizing.md), with 5 starts and 13 other calls at once. So 100 are in progress
# only if Temporal is many times slower than that, or no worker answers.
_TEMPORAL_CALLS: Final = 100
# The last third of the pool is for the statements of orders and changes.
_READS_OF_POOL: Final = 2 / 3
# A read takes 1 ms: after such a wait for a turn, Postgres hangs.
_TURN_SECONDS: Final = 1.0


class BulkheadFullError(ProblemDetailsException):
    """503: the bulkhead is full."""

    def __init__(self, what: str, limit: int) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        super().__init__(
            status_code=status,
            type_="about:blank",
            title=status.phrase,
            detail=f"Too many {what}: {limit} are in progress.",
            headers=errors.RETRY_AFTER,
        )


class Bulkhead:
    """Lets up to `limit` in at once, each for a block."""

    def __init__(self, what: str, limit: int) -> None:
        self.limit = limit
        self.in_use = 0
        self.refused = 0
        self._what = what

    def enter(self) -> None:
        """Go in.

        Raises:
            BulkheadFullError: it is full.
        """
        if self.in_use >= self.limit:
            raise self.refuse()
        self.in_use += 1

    def leave(self) -> None:
        """Make room."""
        self.in_use -= 1

    def refuse(self) -> BulkheadFullError:
        """Count a refusal and return the error to raise."""
        self.refused += 1
        return BulkheadFullError(self._what, self.limit)

    async def __aenter__(self) -> None:
        self.enter()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()


class Turns(Bulkhead):
    """A bulkhead at which up to `waiting` wait for their turn, each for up to `seconds`."""

    def __init__(self, what: str, limit: int, *, waiting: int, seconds: float) -> None:
        super().__init__(what, limit)
        self._free = asyncio.Semaphore(limit)
        self._waiting = 0
        self._most_waiting = waiting
        self._seconds = seconds

    def leave(self) -> None:
        """Make room."""
        super().leave()
        self._free.release()

    async def __aenter__(self) -> None:
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        self.in_use += 1

    async def _wait(self) -> None:
        if self._waiting >= self._most_waiting:
            raise self.refuse()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise self.refuse() from None
        finally:
            self._waiting -= 1


class Bulkheads:
    """All of them, and their metrics."""

    def __init__(self, settings: ApiSettings, registry: CollectorRegistry) -> None:
        reads = max(1, int(settings.database_pool_size * _READS_OF_POOL))
        self.connections = Bulkhead("connections", settings.api_connections)
        self.streams = Bulkhead("event streams", settings.api_streams)
        self.starts = Bulkhead("order starts", _TEMPORAL_CALLS)
        self.worker_calls = Bulkhead("calls waiting for a worker", _TEMPORAL_CALLS)
        self.temporal_calls = Bulkhead("Temporal calls", _TEMPORAL_CALLS)
        # Every connection may wait, as the time is the bound: where only 100 could, 240 streams
        # opened at once were 134 refusals.
        self.reads = Turns(
            "Postgres reads", reads, waiting=settings.api_connections, seconds=_TURN_SECONDS
        )
        registry.register(_Metrics(vars(self)))


class _Metrics(Collector):
    """Reads the bulkheads at each scrape, which costs a request nothing."""

    def __init__(self, bulkheads: Mapping[str, Bulkhead]) -> None:
        self._bulkheads = dict(bulkheads)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, every kind in each of them."""
        in_use = GaugeMetricFamily(
            "orderfleet_bulkhead_in_use", "What is under way, by kind.", labels=["kind"]
        )
        limit = GaugeMetricFamily(
            "orderfleet_bulkhead_limit", "Most that may be under way.", labels=["kind"]
        )
        refused = CounterMetricFamily(
            "orderfleet_bulkhead_refused", "Refused with 503, as it was full.", labels=["kind"]
        )
        for kind, bulkhead in self._bulkheads.items():
            in_use.add_metric([kind], bulkhead.in_use)
            limit.add_metric([kind], bulkhead.limit)
            refused.add_metric([kind], bulkhead.refused)
        yield from (in_use, limit, refused)
