import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from threading import Thread
from typing import Any, ClassVar

import msgspec
import pytest
import structlog
from opentelemetry.trace import get_tracer
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from orderfleet.domain.contract import PAYMENT_DECLINED
from orderfleet.gateways.protocols import GatewayRefusedError
from orderfleet.observability.logging import configure_logs, sdk_logging_config
from tests.support.spans import exported


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = threading.excepthook, sys.unraisablehook
    yield
    threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [msgspec.json.decode(line) for line in captured.err.splitlines()]


def test_a_line_says_who_when_and_which_order(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json", service="api")
    structlog.stdlib.get_logger("mine").info("hello", order_id="o-1", amount="1.00")
    [line] = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "hello",
        "level": "info",
        "logger": "mine",
        "service": "api",
        "order_id": "o-1",
        "amount": "1.00",
    }


class _Unraisable:
    def __del__(self) -> None:
        raise ValueError("lost")


def _raise() -> None:
    raise ValueError("in a thread")


@pytest.mark.filterwarnings("default")
def test_what_python_prints_itself_is_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json", service="order-worker")
    warnings.warn("no activity to cancel", stacklevel=1)
    thread = Thread(target=_raise, name="probes")
    thread.start()
    thread.join()
    _Unraisable()
    warned, of_thread, unraisable = lines(capsys)
    assert (warned["logger"], warned["level"]) == ("py.warnings", "warning")
    assert "UserWarning: no activity to cancel" in warned["event"]
    assert of_thread["event"] == "uncaught exception in thread probes"
    assert "ValueError: in a thread" in of_thread["exception"]
    assert "ValueError: lost" in unraisable["exception"]
    assert unraisable["service"] == "order-worker"


def test_a_line_of_a_workflow_has_its_order_and_run(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json", service="shipping-worker")
    about = {"workflow_id": "o-1/shipping/2", "run_id": "r-1", "workflow_type": "ShippingWorkflow"}
    logging.getLogger("temporalio.workflow").warning("slow", extra={"temporal_workflow": about})
    [line] = lines(capsys)
    assert (line["order_id"], line["workflow_id"], line["run_id"]) == (
        "o-1",
        "o-1/shipping/2",
        "r-1",
    )
    assert "temporal_workflow" not in line


async def test_a_line_written_in_an_activity_has_its_attempt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", "json", service="order-worker")

    def work() -> None:
        structlog.stdlib.get_logger("mine").info("charging")

    environment = ActivityEnvironment()
    environment.run(work)
    [line] = lines(capsys)
    info = environment.info
    assert line["order_id"] == line["workflow_id"] == info.workflow_id
    assert (line["run_id"], line["activity"], line["attempt"]) == (
        info.workflow_run_id,
        info.activity_type,
        info.attempt,
    )


def test_a_line_within_a_span_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    exported()
    configure_logs("info", "json", service="api", traced=True)
    with get_tracer(__name__).start_as_current_span("request") as span:
        logging.getLogger("mine").info("within")
    logging.getLogger("mine").info("after")
    within, after = lines(capsys)
    context = span.get_span_context()
    assert within["trace_id"] == f"{context.trace_id:032x}"
    assert within["span_id"] == f"{context.span_id:016x}"
    assert "trace_id" not in after


def test_the_core_logs_like_all_else_and_no_payload(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json", service="order-worker")

    class Core:
        fields: ClassVar[dict[str, str]] = {
            "run_id": "r-1",
            "error": "gone",
            "completion": "canary",
        }

    logging.getLogger("temporalio.core").warning("not found", extra={"temporal_log": Core()})
    [line] = lines(capsys)
    assert (line["event"], line["run_id"], line["error"]) == ("not found", "r-1", "gone")
    assert "canary" not in str(line)
    forwarded = sdk_logging_config().forwarding
    assert forwarded is not None
    assert forwarded.logger.name == "temporalio.core"


_NONDETERMINISM = (
    'Failure { failure: Some(Failure { message: "[TMPRL1100] Nondeterminism error: '
    'Activity \\"a\\" does not fit: HistoryEvent(id: 5, TimerStarted)", source: "", '
    'stack_trace: "canary", encoded_attributes: None, cause: None, '
    'failure_info: Some(ApplicationFailureInfo(ApplicationFailureInfo { r#type: "", '
    "non_retryable: false, details: Some(Payloads { payloads: "
    '[Payload { data: "canary" }] }) })) }), force_cause: NonDeterministicError }'
)
_CORE_MESSAGE = (
    '[TMPRL1100] Nondeterminism error: Activity "a" does not fit: HistoryEvent(id: 5, TimerStarted)'
)
_BUG = (
    'Failure { failure: Some(Failure { message: "no such town: canary", source: "", stack_trace: '
    '"canary", cause: Some(Failure { message: "canary" }), failure_info: Some('
    'ApplicationFailureInfo(ApplicationFailureInfo { r#type: "RuntimeError", details: None })) }) }'
)


@pytest.mark.parametrize(
    ("failure", "logged"),
    [
        (
            _NONDETERMINISM,
            _CORE_MESSAGE,
        ),
        (_BUG, "RuntimeError"),
        ('Failure { message: "[TMPRL1100] ' + 5000 * "x" + '" }', "[TMPRL1100] " + 488 * "x"),
        ("canary", "unknown"),
    ],
)
def test_why_a_workflow_task_failed_is_told_without_its_payloads(
    capsys: pytest.CaptureFixture[str], failure: str, logged: str
) -> None:
    configure_logs("info", "json", service="order-worker")

    class Core:
        fields: ClassVar[dict[str, str]] = {"run_id": "r-1", "failure": failure}

    logging.getLogger("temporalio.core").warning("Failing task", extra={"temporal_log": Core()})
    [line] = lines(capsys)
    assert (line["run_id"], line["failure"]) == ("r-1", logged)
    assert "canary" not in str(line)


def test_what_the_core_quotes_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json", service="order-worker")

    class Core:
        fields: ClassVar[dict[str, str]] = {"error": 100_000 * "x"}

    logging.getLogger("temporalio.core").warning("gone", extra={"temporal_log": Core()})
    assert len(lines(capsys)[0]["error"]) == 500


@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize("by_structlog", [True, False])
def test_a_traceback_has_no_local_variables(
    capsys: pytest.CaptureFixture[str], format_: str, by_structlog: bool
) -> None:
    configure_logs("info", format_, service="api")

    def charge(secret: str) -> None:
        address = {"street": secret}
        raise ValueError(f"{len(address)} wrong")

    log: Any = structlog.stdlib.get_logger("x") if by_structlog else logging.getLogger("x")
    try:
        # In two parts: the traceback shows the source line itself.
        charge("can" + "ary")
    except ValueError:
        log.exception("failed")
    output = capsys.readouterr().err
    assert "ValueError: 1 wrong" in output
    assert "in charge" in output
    assert "canary" not in output


def test_an_error_is_one_line_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json", service="api")
    logging.getLogger("mine").error("failed", exc_info=ValueError("two\nlines"))
    [line] = lines(capsys)
    assert line["level"] == "error"
    assert "ValueError: two\nlines" in line["exception"]


def test_a_refusal_has_its_type_and_not_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json", service="order-worker")
    error = ApplicationError("no such person as Zoë", type=PAYMENT_DECLINED)
    error.__cause__ = GatewayRefusedError("no such person as Zoë")
    logging.getLogger("temporalio.activity").warning(
        "Completing activity as failed", exc_info=error
    )
    [line] = lines(capsys)
    assert (line["event"], line["failure"]) == ("Completing activity as failed", PAYMENT_DECLINED)
    assert "Zoë" not in str(line)
    assert "exception" not in line


def test_what_is_below_the_level_or_about_itself_is_not_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("INFO", "json", service="api")
    logging.getLogger("mine").debug("detail")
    logging.getLogger("httpx").info("HTTP Request: GET /charges/secret")
    assert lines(capsys) == []


def test_configuring_twice_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        configure_logs("info", "json", service="api")
    logging.getLogger("mine").info("once")
    assert len(lines(capsys)) == 1


def test_on_a_terminal_it_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "console", service="api")
    logging.getLogger("mine").info("hello")
    output = capsys.readouterr().err
    assert "hello" in output
    assert not output.startswith("{")
