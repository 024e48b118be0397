"""The credentials of a process that come from files: a look every 2 s, and their metrics."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from orderfleet.watched_files import LOOK_SECONDS, WatchedFiles


class WatchedCredentials(Collector):
    """The watched files of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._watched: list[WatchedFiles[Any]] = []
        registry.register(self)

    def add(self, files: WatchedFiles[Any] | None) -> None:
        """Watch the files of a credential, too; None is a credential that comes from no file."""
        if files is not None:
            self._watched.append(files)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, for a scrape."""
        reloaded = GaugeMetricFamily(
            "orderfleet_credential_reloaded_timestamp_seconds",
            "When the credential was last read from its files.",
            labels=["credential"],
        )
        failures = CounterMetricFamily(
            "orderfleet_credential_reload_failures",
            "Attempts to reload the credential that failed; the previous value is in use.",
            labels=["credential"],
        )
        for files in self._watched:
            reloaded.add_metric([files.credential], files.reloaded)
            failures.add_metric([files.credential], files.failures)
        yield reloaded
        yield failures

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look at the files until the block ends, also at those that nobody needs just now."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()

    async def _look(self) -> NoReturn:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for files in self._watched:
                # Half: a sleep that ends a moment early must not put a look off.
                files.get(LOOK_SECONDS / 2)
