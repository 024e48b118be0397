"""Metrics of requests.

Not Litestar's Prometheus plugin, see `docs/decisions/0010-own-request-metrics.md`.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class ApiMetrics:
    """Requests by route."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "orderfleet_http_requests_total",
            "Requests answered, by the route's template.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._duration = Histogram(
            "orderfleet_http_request_duration_seconds",
            "Time until an answer begins, so that an event stream counts as one.",
            ["method", "route"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10),
            registry=registry,
        )
        self.in_progress = 0
        Gauge(
            "orderfleet_http_requests_in_progress",
            "Requests under way, event streams too.",
            registry=registry,
        ).set_function(lambda: self.in_progress)

    def request_ended(self, method: str, route: str, status: str, seconds: float) -> None:
        """Count a request, with the time until its answer began."""
        self._requests.labels(method, route, status).inc()
        self._duration.labels(method, route).observe(seconds)
