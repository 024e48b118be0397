"""The text of `/metrics`, and what is counted of activities, orders and payments."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from orderfleet.domain.orders import OrderState
from orderfleet.gateways.protocols import (
    Charge,
    ChargeStatus,
    GatewayRefusedError,
    GatewayUnknownError,
)
from orderfleet.observability import sdk_metrics
from orderfleet.observability.process_metrics import make_registry, render
from orderfleet.observability.sdk_metrics import SdkMetrics, rename_namespace
from orderfleet.observability.step_metrics import StepMetrics, StepMetricsInterceptor
from orderfleet.observability.worker_metrics import WorkerMetrics
from orderfleet.runtime.process import Lifecycle
from orderfleet.store.transitions import Transition
from orderfleet_order_worker.metrics import MeasuredPaymentGateway, OrderWorkerMetrics

GIVEN: Final = ExecuteActivityInput(fn=lambda: None, args=[], executor=None, headers={})
CHARGE: Final = Charge("pay-1", "o-1", "1.00", "USD")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(scope="module")
def core() -> SdkMetrics:
    return SdkMetrics()


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        (b'a{namespace="n"} 1\n', b'a{temporal_namespace="n"} 1\n'),
        (b'a{b="c",namespace="n",d="e"} 1\n', b'a{b="c",temporal_namespace="n",d="e"} 1\n'),
        (b'a{namespace="1"} 1\nb{namespace="2"} 2\n', None),
        # Not the label: another label, a value, a help text.
        (b'a{my_namespace="n"} 1\n', b'a{my_namespace="n"} 1\n'),
        (rb'a{b=",namespace=\"n\""} 1', rb'a{b=",namespace=\"n\""} 1'),
        (b"# HELP a of a namespace\n", b"# HELP a of a namespace\n"),
    ],
)
def test_only_the_label_namespace_is_renamed(text: bytes, renamed: bytes | None) -> None:
    expected = text.replace(b"namespace", b"temporal_namespace") if renamed is None else renamed
    assert rename_namespace(text) == expected


def test_a_taken_port_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = sdk_metrics._free_port()
        ports = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(sdk_metrics, "_free_port", lambda: next(ports))
        assert SdkMetrics()._port == free


def test_without_the_core_the_own_metrics_answer(
    registry: CollectorRegistry, core: SdkMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    OrderWorkerMetrics(registry)
    with socket.socket() as deaf:
        # It takes connections and says nothing.
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setattr(sdk_metrics, "_RESPONSE_SECONDS", 0.1)
        for port in (deaf.getsockname()[1], sdk_metrics._free_port()):
            monkeypatch.setattr(core, "_port", port)
            assert render(registry, core) == generate_latest(registry)


async def test_every_process_tells_build_and_drain(core: SdkMetrics) -> None:
    lifecycle = Lifecycle()
    registry = make_registry(
        "orderfleet-api", draining_seconds=lambda: lifecycle.draining_seconds, drain_seconds=7
    )
    named = {"service": "api", "version": version("orderfleet-api")}
    assert registry.get_sample_value("orderfleet_build_info", named) == 1
    assert registry.get_sample_value("orderfleet_drain_limit_seconds") == 7
    assert registry.get_sample_value("orderfleet_draining") == 0
    assert registry.get_sample_value("orderfleet_draining_seconds") == 0
    lifecycle.request_shutdown()
    await asyncio.sleep(0.05)
    assert registry.get_sample_value("orderfleet_draining") == 1
    seconds = registry.get_sample_value("orderfleet_draining_seconds")
    assert seconds is not None
    assert 0.05 <= seconds < 5
    families = {
        family.name for family in text_string_to_metric_families(render(registry, core).decode())
    }
    assert {"process_resident_memory_bytes", "python_gc_collections"} <= families


def test_nothing_is_told_of_when_a_counter_was_made(registry: CollectorRegistry) -> None:
    registry = make_registry("orderfleet-api", draining_seconds=lambda: None, drain_seconds=1)
    OrderWorkerMetrics(registry)
    assert b"_created" not in generate_latest(registry)


# --- Steps -------------------------------------------------------------------------------------


class Activity(ActivityInboundInterceptor):
    """The innermost link: the activity itself."""

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        if isinstance(self._outcome, Exception):
            raise self._outcome
        await asyncio.sleep(self._outcome)
        return "done"


def attempt(
    metrics: StepMetrics, outcome: Any, *, number: int = 1, left: float | None = 9.5
) -> asyncio.Task[Any]:
    environment = ActivityEnvironment()
    now = environment.info.started_time
    environment.info = replace(
        environment.info,
        activity_type="charge",
        attempt=number,
        scheduled_time=now - timedelta(seconds=2),
        schedule_to_close_timeout=None if left is None else timedelta(seconds=left + 2),
    )
    chain = StepMetricsInterceptor(metrics).intercept_activity(Activity(outcome))
    return asyncio.ensure_future(environment.run(chain.execute_activity, GIVEN))


def outcomes(registry: CollectorRegistry) -> dict[str, float | None]:
    return {
        outcome: registry.get_sample_value(
            "orderfleet_step_attempts_total", {"step": "charge", "outcome": outcome}
        )
        for outcome in ("completed", "failed", "cancelled")
    }


async def test_attempts_are_told_apart_by_how_they_end(registry: CollectorRegistry) -> None:
    metrics = StepMetrics(registry)
    assert await attempt(metrics, 0.05) == "done"
    assert outcomes(registry) == {"completed": 1, "failed": 0, "cancelled": 0}
    with pytest.raises(ValueError, match="no"):
        await attempt(metrics, ValueError("no"), number=2)
    hanging = attempt(metrics, 300, number=3)
    await asyncio.sleep(0.01)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert outcomes(registry) == {"completed": 1, "failed": 1, "cancelled": 1}
    step = {"step": "charge"}
    assert registry.get_sample_value("orderfleet_step_duration_seconds_count", step) == 3
    total = registry.get_sample_value("orderfleet_step_duration_seconds_sum", step)
    assert total is not None
    assert 0.05 <= total < 5


async def test_the_time_left_is_told_once_a_step(registry: CollectorRegistry) -> None:
    metrics = StepMetrics(registry)
    await attempt(metrics, 0)
    # Not counted: a later attempt of the same step, and a step without a deadline.
    await attempt(metrics, 0, number=2, left=3.0)
    await attempt(metrics, 0, left=None)
    step = {"step": "charge"}
    assert registry.get_sample_value("orderfleet_deadline_left_seconds_count", step) == 1
    assert registry.get_sample_value("orderfleet_deadline_left_seconds_sum", step) == 9.5


# --- Orders and payments -----------------------------------------------------------------------


def test_an_end_counts_once_and_for_its_state(registry: CollectorRegistry) -> None:
    metrics = WorkerMetrics(registry)
    state = OrderState.CANCELLED
    for moved in (
        Transition(state, moved=True, repeated=False, age=4.5),
        Transition(state, moved=False, repeated=True, age=5.5),
        Transition(state, moved=False, repeated=False, age=6.5),
        Transition(OrderState.SHIPPING, moved=True, repeated=False, age=7.5),
        None,
    ):
        metrics.order_ended(moved)
    ended = {
        end: registry.get_sample_value("orderfleet_orders_ended_total", {"state": end})
        for end in OrderState
        if end.ended
    }
    assert ended == {end: float(end is state) for end in ended}
    seconds = registry.get_sample_value("orderfleet_order_duration_seconds_sum", {"state": state})
    assert seconds == 4.5


class Gateway:
    """A gateway with a fixed answer."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def charge(self, charge: Charge) -> bool | None:
        replayed: bool | None = await self._say()
        return replayed

    async def lookup(self, key: str) -> ChargeStatus:
        return ChargeStatus(await self._say())

    async def void(self, charge: Charge) -> ChargeStatus:
        return ChargeStatus(await self._say())

    async def refund(self, charge: Charge) -> ChargeStatus:
        return ChargeStatus(await self._say())

    async def _say(self) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        if self._answer == "silent":
            await asyncio.sleep(300)
        return self._answer


def calls(registry: CollectorRegistry) -> Iterator[tuple[str, str, str]]:
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == "orderfleet_payments_total" and sample.value:
                assert sample.value == 1
                labels = sample.labels
                yield labels["operation"], labels["result"], labels["replayed"]


@pytest.mark.parametrize(
    ("answer", "result", "replayed"),
    [
        (None, "captured", "false"),
        (False, "captured", "false"),
        (True, "captured", "true"),
        (GatewayRefusedError("no"), "refused", "false"),
        (GatewayUnknownError("?"), "unknown", "false"),
        (OSError("?"), "unknown", "false"),
        ("silent", "unknown", "false"),
    ],
)
async def test_a_charge_counts_by_what_it_came_to(
    registry: CollectorRegistry, answer: Any, result: str, replayed: str
) -> None:
    gateway = MeasuredPaymentGateway(Gateway(answer), OrderWorkerMetrics(registry))
    if answer == "silent" or isinstance(answer, Exception):
        expected = type(answer) if isinstance(answer, Exception) else TimeoutError
        with pytest.raises(expected):
            async with asyncio.timeout(0.01):
                await gateway.charge(CHARGE)
    else:
        await gateway.charge(CHARGE)
    assert list(calls(registry)) == [("charge", result, replayed)]


@pytest.mark.parametrize("operation", ["lookup", "void", "refund"])
async def test_the_other_calls_count_by_the_status_they_tell(
    registry: CollectorRegistry, operation: str
) -> None:
    gateway = MeasuredPaymentGateway(Gateway("refunded"), OrderWorkerMetrics(registry))
    argument = CHARGE.key if operation == "lookup" else CHARGE
    assert await getattr(gateway, operation)(argument) is ChargeStatus.REFUNDED
    assert list(calls(registry)) == [(operation, "refunded", "false")]
