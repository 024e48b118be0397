"""Traces: off at no cost, on without a word that an exception says."""

import asyncio
import subprocess
import sys
from contextlib import suppress

import pytest
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import StatusCode, get_tracer
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from orderfleet.environment import SettingsError
from orderfleet.observability.otel.failed_attempts import FailedAttempts
from orderfleet.observability.otel.statement_spans import summary_of
from orderfleet.settings import ServiceSettings
from orderfleet.store import payments, transitions
from tests.support.spans import exported

_URL = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROGRAM = """
import asyncio, sys
import orderfleet_api.main, orderfleet_order_worker.main, orderfleet_shipping_worker.main
from orderfleet.settings import ServiceSettings
from orderfleet.observability.logging import configure_logs
from orderfleet.observability.tracing import Traces, configure_traces

async def main():
    settings = ServiceSettings.from_env()
    configure_logs("info", "json", service="test", traced=bool(settings.trace_protocol))
    async with configure_traces(settings, service="test") as traces:
        assert (traces == Traces()) is not traces.on
        print([name for name in sys.modules if name.startswith("opentelemetry")])

asyncio.run(main())
"""


def loaded(**env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "env",
    [
        {},
        {_URL: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {_URL: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_off_it_is_not_even_imported(env: dict[str, str]) -> None:
    assert loaded(**env) == "[]"


def test_only_the_exporter_that_is_asked_for_is_imported() -> None:
    by_http, by_grpc = (
        loaded(**{_URL: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
        for protocol in ("http/protobuf", "grpc")
    )
    package = "opentelemetry.exporter.otlp.proto"
    assert f"{package}.http.trace_exporter" in by_http
    assert f"{package}.grpc" not in by_http
    assert f"{package}.grpc.trace_exporter" in by_grpc
    assert f"{package}.http" not in by_grpc


@pytest.mark.parametrize(
    ("env", "protocol"),
    [
        ({}, ""),
        ({_URL: ""}, ""),
        ({_URL: "http://here:4317"}, "grpc"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://here/v1/traces"}, "grpc"),
        (
            {_URL: "http://here:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "http/protobuf",
        ),
        (
            {
                _URL: "http://here:4317",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            },
            "grpc",
        ),
        ({_URL: "http://here:4317", "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({_URL: "http://here:4317", "OTEL_SDK_DISABLED": "TRUE"}, ""),
    ],
)
def test_the_environment_says_whether_and_how(env: dict[str, str], protocol: str) -> None:
    assert ServiceSettings.from_env(env).trace_protocol == protocol


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (_URL, "here:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_SDK_DISABLED", "maybe"),
    ],
)
def test_what_it_cannot_do_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        ServiceSettings.from_env({name: value})


def test_an_endpoint_is_shown_without_its_password() -> None:
    shown = ServiceSettings.from_env({_URL: "https://me:hidden@here:4318/x"}).shown()
    assert shown[_URL] == "https://***@here:4318/x"


@pytest.mark.parametrize(
    ("query", "summary"),
    [
        ("SELECT id FROM orders WHERE payment_id = $1", "SELECT orders"),
        ("SELECT clock_timestamp()", "SELECT"),
        ("SELECT id FROM unnest($1::text[]) AS given (id)", "SELECT"),
        ("insert into gateway.calls (key) values ($1)", "INSERT gateway.calls"),
        ("SELECT 1 FROM a JOIN b ON a.id = b.id FOR UPDATE", "SELECT a SELECT b"),
        ("INSERT INTO a (x) VALUES ($1) ON CONFLICT (x) DO UPDATE SET y = 1", "INSERT a"),
        ("DELETE FROM a", "DELETE a"),
        (transitions._RECEIVE, "INSERT orders INSERT events SELECT orders"),
        (transitions._MOVE, "SELECT orders SELECT events UPDATE orders INSERT events"),
        (
            payments._BEGIN_CHARGE,
            (
                "SELECT orders SELECT events INSERT payments UPDATE orders INSERT events"
                " SELECT payments"
            ),
        ),
    ],
)
def test_a_statement_is_named_by_what_it_does(query: str, summary: str) -> None:
    assert summary_of(query) == summary


def test_a_name_has_a_bound() -> None:
    joined = " JOIN ".join(["FROM orders", *(f"table_{number}" for number in range(99))])
    assert len(summary_of(joined)) == 255


def test_what_an_exception_says_stays_here() -> None:
    exporter = exported()
    exporter.clear()
    tracer = get_tracer(__name__)
    with suppress(ValueError), tracer.start_as_current_span("step") as span:
        span.add_event("half way")
        int("canary")
    [redacted] = exporter.get_finished_spans()
    assert "canary" not in redacted.to_json()
    assert redacted.attributes == {ERROR_TYPE: "ValueError"}
    assert [event.name for event in redacted.events] == ["half way"]
    assert (redacted.status.status_code, redacted.status.description) == (StatusCode.ERROR, None)


class _Hanging(ActivityInboundInterceptor):
    def __init__(self) -> None:
        """Stand where the activity itself would."""

    async def execute_activity(self, input: ExecuteActivityInput) -> None:  # noqa: A002
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("why", "error_type"),
    [
        # The server's answer to the heartbeat of an attempt that timed out.
        (ActivityCancellationDetails(not_found=True), "timed_out"),
        (ActivityCancellationDetails(timed_out=True), "timed_out"),
        (ActivityCancellationDetails(worker_shutdown=True), "worker_shutdown"),
        (ActivityCancellationDetails(cancel_requested=True), None),
    ],
)
async def test_an_attempt_that_was_given_up_is_an_error_and_a_cancelled_one_is_not(
    why: ActivityCancellationDetails, error_type: str | None
) -> None:
    exporter = exported()
    exporter.clear()
    environment = ActivityEnvironment()
    attempt = FailedAttempts().intercept_activity(_Hanging())
    work = ExecuteActivityInput(fn=print, args=[], executor=None, headers={})

    async def run() -> None:
        with get_tracer("test").start_as_current_span("attempt"):
            await attempt.execute_activity(work)

    running = asyncio.ensure_future(environment.run(run))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    environment.cancel(why)
    with pytest.raises(asyncio.CancelledError):
        await running
    [span] = exporter.get_finished_spans()
    assert (span.attributes or {}).get(ERROR_TYPE) == error_type
