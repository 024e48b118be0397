"""Steps inside the workflow task: tried again, given up in time, and nobody waits for them."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
from prometheus_client import CollectorRegistry
from temporalio.api.enums.v1 import EventType

from orderfleet.domain.orders import OrderState
from orderfleet.observability.worker_metrics import WorkerMetrics
from orderfleet.temporal.fault_injection import FlakyInterceptor
from orderfleet_api import order_service
from orderfleet_api.schemas import QUEUED
from tests.integration.support.fleet import Fleet, an_order, new_id

_RAISES, _HANGS, _WORKS = 0.0, 0.5, 0.9


class _Fates(random.Random):
    """Decides about one attempt after another; all later ones work."""

    def __init__(self, fates: Sequence[float]) -> None:
        super().__init__()
        self._fates: Iterator[float] = iter(fates)
        self.hangs = asyncio.Event()

    def random(self) -> float:
        fate = next(self._fates, _WORKS)
        if fate == _HANGS:
            self.hangs.set()
        return fate


@asynccontextmanager
async def _working(
    fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    chance: _Fates,
) -> AsyncIterator[CollectorRegistry]:
    """Run both workers; the first attempts of the order worker fare by `chance`."""
    registry = CollectorRegistry()
    monkeypatch.setattr(
        "orderfleet.runtime.worker.FlakyInterceptor", partial(FlakyInterceptor, chance=chance)
    )
    metrics = WorkerMetrics(registry)
    async with fleet.order_worker(metrics=metrics, flaky="*"), fleet.shipping_worker():
        yield registry


async def test_each_attempt_is_counted_and_the_number_of_the_last_is_on_record(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = new_id()
    backends = fleet.backends()
    chance = _Fates([_RAISES, _WORKS, _RAISES, _HANGS])
    async with _working(fleet, monkeypatch, chance) as registry:
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
        status = await order_service.status(backends, order_id)
    assert status.steps["receive"].attempts == 2
    assert status.steps["validate"].errors == ["Forced failure for testing", "timed out"]
    [validated] = [one for one in await fleet.events(order_id) if one.type == "validated"]
    assert validated.payload == {"attempt": 3}

    def counted(step: str, outcome: str) -> float | None:
        labels = {"step": step, "outcome": outcome}
        return registry.get_sample_value("orderfleet_step_attempts_total", labels)

    found = [counted("validate", outcome) for outcome in ("completed", "failed", "cancelled")]
    assert found == [1, 1, 1]
    # The time that a step had left is told at its first attempt.
    left = "orderfleet_deadline_left_seconds_count"
    assert registry.get_sample_value(left, {"step": "validate"}) == 1


async def test_no_event_of_them_but_a_marker_for_each_attempt_is_in_the_history(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = new_id()
    async with _working(fleet, monkeypatch, _Fates([_RAISES])):
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
        await fleet.result(order_id)
    history = await fleet.workflow(order_id).fetch_history()
    markers = [event.marker_recorded_event_attributes.marker_name for event in history.events]
    assert markers.count("core_local_activity") == 3
    scheduled = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    names = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.event_type == scheduled
    ]
    assert names == ["charge"]


async def test_while_one_hangs_the_record_answers_and_a_cancel_is_not_lost(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = new_id()
    backends = fleet.backends(order_deadline_seconds=15.0)
    loop = asyncio.get_running_loop()
    chance = _Fates([_WORKS, _HANGS])
    async with _working(fleet, monkeypatch, chance):
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await chance.hangs.wait()
        began = loop.time()
        status = await order_service.status(backends, order_id)
        assert (status.source, status.state) == ("record", OrderState.RECEIVED)
        # The API waits 1 s for a status and 2 s for a change.
        assert loop.time() - began < 1.5
        changed = await order_service.cancel(backends, order_id, "c-1", "changed my mind")
        assert changed.outcome == QUEUED
        assert (await fleet.result(order_id)).state is OrderState.CANCELLED
        # Its attempt is given up at 3 s.
        assert loop.time() - began < 5
        found = await order_service.status(backends, order_id)
    assert (found.source, found.errors) == ("workflow", ["validate: timed out"])
    assert await fleet.event_types(order_id) == ["received", "cancelled"]


async def test_an_order_whose_first_step_always_hangs_ends_in_time(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = new_id()
    backends = fleet.backends(order_deadline_seconds=15.0)
    async with _working(fleet, monkeypatch, _Fates([_HANGS] * 3)):
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        result = await fleet.result(order_id)
        described = await fleet.workflow(order_id).describe()
    assert (result.state, result.reason) == (OrderState.FAILED, "receive: timed out")
    assert await fleet.state(order_id) is OrderState.FAILED
    assert described.close_time is not None
    assert (described.close_time - described.start_time).total_seconds() < 15
