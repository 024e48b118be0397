"""Logs by structlog: JSON in containers, readable on a terminal, the order's id on each line.

The SDK and the workflows log through the standard library; one renderer formats both.
"""

import logging
import re
import sys
import threading
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.runtime import LogForwardingConfig, LoggingConfig, TelemetryFilter

from orderfleet.domain.contract import (
    CARRIER_REFUSED,
    PAYMENT_DECLINED,
    REVIEW_REJECTED,
    order_of,
)
from orderfleet.temporal.attempts import attempt_of

SDK_CORE: Final = "temporalio.core"
_CORE_FIELDS: Final = (
    *("workflow_id", "workflow_type", "run_id", "activity_id", "activity_type", "attempt"),
    *("task_queue", "error"),
)
_CORE_MESSAGE: Final = re.compile(r'message: "(\[TMPRL(?:[^"\\]|\\.)*)')
_TYPE: Final = re.compile(r'r#type: "((?:[^"\\]|\\.)+)')
_MOST_CHARACTERS: Final = 500
# These may name the customer in the words of a gateway or of a reviewer; the audit log has them.
_REFUSALS: Final = frozenset({CARRIER_REFUSED, PAYMENT_DECLINED, REVIEW_REJECTED})

# Noisy at `info`, and about themselves; the last logs whole payloads at `debug`.
_QUIET: Final = (
    "httpx",
    "httpcore",
    "asyncio",
    "_granian",
    "urllib3",
    "temporalio.worker._activity",
)


def configure_logs(level: str, format_: str, *, service: str, traced: bool = False) -> None:
    """Send every log line of this process to standard error in one format.

    Args:
        level: debug, info, warning or error.
        format_: json, console, or auto (console on a terminal, json elsewhere).
        service: the name on each line.
        traced: add trace and span id to each line within a span.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(
            allow=("temporal_workflow", "temporal_activity", "temporal_log")
        ),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_service(service),
        _add_core,
        _add_order,
        _shorten_refusal,
    ]
    if traced:
        # It imports OpenTelemetry.
        from orderfleet.observability.otel.provider import add_trace  # noqa: PLC0415

        shared.append(add_trace)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    console = format_ == "console" or (format_ == "auto" and sys.stderr.isatty())
    rendered: list[Processor] = (
        # Where Rich is installed, tracebacks show local variables by default: addresses, keys.
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    _log_what_python_prints()


def _log_what_python_prints() -> None:
    """Log what Python writes to standard error itself: warnings and errors that nothing caught."""
    logging.captureWarnings(capture=True)
    uncaught = logging.getLogger("python")

    def thread(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "unknown"
        error = args.exc_value
        uncaught.error("uncaught exception in thread %s", name, exc_info=error or True)

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        uncaught.error(args.err_msg or "unraisable exception", exc_info=args.exc_value or True)

    threading.excepthook = thread
    sys.unraisablehook = unraisable


def sdk_logging_config() -> LoggingConfig:
    """Return a configuration that sends the logs of the SDK's core (Rust) through Python's."""
    return LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(
            logger=logging.getLogger(SDK_CORE),
            append_target_to_name=False,
            prepend_target_on_message=False,
            append_log_fields_to_message=False,
        ),
    )


def _add_service(service: str) -> Processor:
    def add(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add


def _add_core(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add the core's fields that say where and why; others may hold whole payloads."""
    core = event.pop("temporal_log", None)
    if core is None:
        return event
    for name in _CORE_FIELDS:
        if name in core.fields:
            event[name] = str(core.fields[name])[:_MOST_CHARACTERS]
    if "failure" in core.fields:
        event["failure"] = _failure(str(core.fields["failure"]))
    return event


def _failure(text: str) -> str:
    """Return the kind of a failed task, from its failure as Rust prints it.

    The core's own message, such as `[TMPRL1100] Nondeterminism error: ...`, else the exception's
    type: its message may quote an order, and the SDK has logged it with its traceback.
    """
    for pattern in (_CORE_MESSAGE, _TYPE):
        if match := pattern.search(text):
            return match[1].replace('\\"', '"')[:_MOST_CHARACTERS]
    return "unknown"


def _add_order(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add order, workflow, run, activity and attempt, from whatever context wrote the line."""
    fields: dict[str, Any] = event.pop("temporal_workflow", None) or {}
    fields = event.pop("temporal_activity", None) or fields
    if activity.in_activity():
        info = activity.info()
        event.setdefault("workflow_id", info.workflow_id)
        event.setdefault("run_id", info.workflow_run_id)
        event.setdefault("activity", info.activity_type)
        event.setdefault("attempt", attempt_of(info))
    for name, source in (
        ("workflow_id", "workflow_id"),
        ("run_id", "run_id"),
        ("run_id", "workflow_run_id"),
        ("workflow_type", "workflow_type"),
        ("activity", "activity_type"),
        ("attempt", "attempt"),
    ):
        if source in fields:
            event.setdefault(name, fields[source])
    if isinstance(workflow_id := event.get("workflow_id"), str):
        event.setdefault("order_id", order_of(workflow_id))
    return event


def _shorten_refusal(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Replace the traceback of a step that was refused by the type of the refusal."""
    raised = event.get("exc_info")
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, ApplicationError) and error.type in _REFUSALS:
        del event["exc_info"]
        event["failure"] = error.type
    return event
