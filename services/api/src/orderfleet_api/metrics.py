"""What the API counts of its requests, and the wrapper of the application that counts them.

Not Litestar's Prometheus plugin, see `docs/decisions/0010-own-request-metrics.md`. Around the whole
application and not a middleware within it, which never sees a request that no route takes.
"""

from http import HTTPMethod, HTTPStatus
from time import perf_counter
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from orderfleet_api.failures import FailureLog

# What callers choose freely must not become a label.
_OTHER: Final = "other"
_METHODS: Final = frozenset(method.value for method in HTTPMethod)
# nginx' word for a client that left before its answer.
_LEFT: Final = "499"
_BROKEN: Final = "500"


class ApiMetrics:
    """Requests by route, and orders accepted."""

    def __init__(self, registry: CollectorRegistry, failures: FailureLog | None = None) -> None:
        self._failures = failures or FailureLog()
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
        self._kept: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._in_progress = 0
        Gauge(
            "orderfleet_http_requests_in_progress",
            "Requests under way, event streams too.",
            registry=registry,
        ).set_function(lambda: self._in_progress)
        self._accepted = Counter(
            "orderfleet_orders_accepted_total",
            "Orders newly accepted; a repeat is none.",
            registry=registry,
        )

    def order_accepted(self) -> None:
        """Count an order that was not known before."""
        self._accepted.inc()

    def measured(self, app: ASGIApp) -> ASGIApp:
        """Return the application with its requests counted, and its failures logged."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            began = perf_counter()
            status, seconds = _LEFT, 0.0
            failed = False

            async def noted(message: Message) -> None:
                nonlocal status, seconds, failed
                if message["type"] == "http.response.start":
                    status, seconds = str(message["status"]), perf_counter() - began
                    failed = message["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR
                elif failed and message["type"] == "http.response.body":
                    failed = False
                    self._failures.answered(*_names(scope), int(status), message["body"])
                await send(message)

            self._in_progress += 1
            try:
                await app(scope, receive, noted)
            except Exception:
                # The server answers it, unless an answer has begun.
                status = _BROKEN if status == _LEFT else status
                raise
            finally:
                self._in_progress -= 1
                requests, duration = self._of(*_names(scope), status)
                requests.inc()
                duration.observe(seconds or perf_counter() - began)

        return counted

    def _of(self, method: str, route: str, status: str) -> tuple[Counter, Histogram]:
        """Return what counts such a request; the library's own two look-ups take 3 us."""
        labels = method, route, status
        found = self._kept.get(labels)
        if found is None:
            found = self._requests.labels(*labels), self._duration.labels(method, route)
            self._kept[labels] = found
        return found


def _names(scope: HTTPScope) -> tuple[str, str]:
    """Return a request's method and route; without one, no route took the request."""
    method = str(scope["method"])
    # The router leaves the template here.
    return method if method in _METHODS else _OTHER, scope.get("path_template") or _OTHER
