"""What the Temporal SDK's core (Rust, a registry of its own) counts, as text for `/metrics`.

It can serve its metrics over HTTP only: it does so on a port of loopback, and they are fetched
from there at each scrape.
"""

import re
import socket
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from orderfleet.observability.logging import core_logging

_LOOPBACK: Final = "127.0.0.1"
# It answers in a millisecond; a scrape's patience is some seconds, and the rest goes without it.
_ANSWER_SECONDS: Final = 1.0
_TRIES: Final = 20

# Edges in seconds around an order's 15; the core's own go from 10 to 30.
_END_TO_END: Final = (0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
_EDGES: Final = {
    "workflow_endtoend_latency": _END_TO_END,
    "activity_succeed_endtoend_latency": _END_TO_END,
    "local_activity_succeed_endtoend_latency": _END_TO_END,
}

# A quote inside a label's value is escaped, so this finds names of labels only.
_NAMESPACE: Final = re.compile(rb'([{,])namespace="')


class CoreMetrics:
    """A `Runtime` for the process's one client, and what it counts."""

    def __init__(self) -> None:
        self.runtime, self._port = _start()

    def read(self) -> bytes:
        """Return its metrics in text format 0.0.4, or nothing if it does not answer."""
        connection = HTTPConnection(_LOOPBACK, self._port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text = answer.read() if answer.status == HTTPStatus.OK else b""
        except (OSError, HTTPException):
            return b""
        finally:
            connection.close()
        return rename_namespace(text)


def rename_namespace(text: bytes) -> bytes:
    """Call the label `namespace` by another name: Prometheus gives its targets one like it."""
    return _NAMESPACE.sub(rb'\1temporal_namespace="', text)


def _start() -> tuple[Runtime, int]:
    """Start a runtime on a free port of loopback, which it wants to be told.

    Raises:
        OSError: a free port was taken by somebody else each time.
    """
    for _ in range(_TRIES):
        port = _free_port()
        metrics = PrometheusConfig(
            bind_address=f"{_LOOPBACK}:{port}",
            unit_suffix=True,
            counters_total_suffix=True,
            durations_as_seconds=True,
            histogram_bucket_overrides=_EDGES,
        )
        try:
            telemetry = TelemetryConfig(logging=core_logging(), metrics=metrics)
            return Runtime(telemetry=telemetry), port
        except ValueError as error:
            # The SDK's word for a port that is taken.
            if "in use" not in str(error):
                raise
    raise OSError(f"no free port on {_LOOPBACK} for the SDK's metrics")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
