"""The exporter's polls: how long a result counts, and what happens if a poll fails."""

import asyncio

import pytest
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric

from orderfleet_api import fleet_exporter
from orderfleet_api.fleet_exporter import FleetGauges


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def gauges(registry: CollectorRegistry) -> FleetGauges:
    registered = FleetGauges(fresh_seconds=10)
    registry.register(registered)
    return registered


def up(registry: CollectorRegistry, source: str) -> float | None:
    return registry.get_sample_value("orderfleet_exporter_up", {"source": source})


async def _answer() -> list[Metric]:
    return [GaugeMetricFamily("orderfleet_answer", "An answer.", 1)]


async def test_a_stale_result_is_not_exported(
    registry: CollectorRegistry, gauges: FleetGauges, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 100.0
    monkeypatch.setattr(fleet_exporter, "monotonic", lambda: clock)
    assert up(registry, "postgres") is None
    await gauges.poll("postgres", _answer)
    assert up(registry, "postgres") == 1
    assert registry.get_sample_value("orderfleet_answer") == 1
    clock += 11
    assert up(registry, "postgres") == 0
    assert registry.get_sample_value("orderfleet_answer") is None


async def test_a_poll_that_hangs_is_given_up(
    registry: CollectorRegistry, gauges: FleetGauges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_exporter, "_POLL_SECONDS", 0.05)

    async def hang() -> list[Metric]:
        await asyncio.sleep(300)
        return []

    await gauges.poll("temporal", hang)
    assert up(registry, "temporal") == 0


@pytest.mark.parametrize(
    ("error", "bug"),
    [
        (ConnectionRefusedError("nobody listens"), False),
        (RuntimeError("Failed client connect: nobody listens"), False),
        (RuntimeError("dictionary changed size during iteration"), True),
        (KeyError("state"), True),
    ],
)
async def test_a_bug_is_logged_with_its_traceback_and_an_outage_without(
    registry: CollectorRegistry,
    gauges: FleetGauges,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    bug: bool,
) -> None:
    structlog.configure(
        processors=[structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )

    async def fail() -> list[Metric]:
        raise error

    # The second failure is no news.
    for _ in range(2):
        await gauges.poll("temporal", fail)
        assert up(registry, "temporal") == 0
    assert len(caplog.records) == 1
    assert bool(caplog.records[0].exc_info) is bug
    await gauges.poll("temporal", _answer)
    assert up(registry, "temporal") == 1
