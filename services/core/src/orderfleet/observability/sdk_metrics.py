"""Metrics of the Temporal SDK's core (Rust, with a registry of its own), as text for `/metrics`.

The core serves its metrics over HTTP only: on a loopback port, from which each scrape fetches
them.
"""

import re
import socket
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from orderfleet.observability.logging import sdk_logging_config

# Shows within seconds that a worker was killed; the SDK's default is a minute.
WORKER_HEARTBEATS: Final = timedelta(seconds=1)
_LOOPBACK: Final = "127.0.0.1"
# The core responds in a millisecond. A scrape waits some seconds, and does without it if need be.
_RESPONSE_SECONDS: Final = 1.0
_TRIES: Final = 20

# Buckets in seconds around an order's 15; the core's own jump from 10 to 30.
_END_TO_END: Final = (0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
_BUCKETS: Final = {
    "workflow_endtoend_latency": _END_TO_END,
    "activity_succeed_endtoend_latency": _END_TO_END,
    "local_activity_succeed_endtoend_latency": _END_TO_END,
}

# A quote inside a label's value is escaped, so this matches label names only.
_NAMESPACE: Final = re.compile(rb'([{,])namespace="')


class SdkMetrics:
    """A `Runtime` for the process's only client, and its metrics."""

    def __init__(self) -> None:
        self.runtime, self._port = _start()

    def read(self) -> bytes:
        """Return the metrics in text format 0.0.4, or nothing if the core does not respond."""
        connection = HTTPConnection(_LOOPBACK, self._port, timeout=_RESPONSE_SECONDS)
        try:
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            text = response.read() if response.status == HTTPStatus.OK else b""
        except (OSError, HTTPException):
            return b""
        finally:
            connection.close()
        return rename_namespace(text)


def rename_namespace(text: bytes) -> bytes:
    """Rename the label `namespace`, which Prometheus in Kubernetes sets on its targets."""
    return _NAMESPACE.sub(rb'\1temporal_namespace="', text)


def _start() -> tuple[Runtime, int]:
    """Start a runtime on a free loopback port; the SDK takes a port number only, never 0.

    Raises:
        OSError: another process took the free port each time.
    """
    for _ in range(_TRIES):
        port = _free_port()
        metrics = PrometheusConfig(
            bind_address=f"{_LOOPBACK}:{port}",
            unit_suffix=True,
            counters_total_suffix=True,
            durations_as_seconds=True,
            histogram_bucket_overrides=_BUCKETS,
        )
        try:
            telemetry = TelemetryConfig(logging=sdk_logging_config(), metrics=metrics)
            return Runtime(telemetry=telemetry, worker_heartbeat_interval=WORKER_HEARTBEATS), port
        except ValueError as error:
            # The SDK's error for a port in use.
            if "in use" not in str(error):
                raise
    raise OSError(f"no free port on {_LOOPBACK} for the SDK's metrics")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
