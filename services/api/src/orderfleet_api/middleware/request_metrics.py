"""Count each request, and log each failed one.

Around the whole application: a middleware of Litestar's never sees a request that no route takes.
"""

from http import HTTPMethod, HTTPStatus
from time import perf_counter
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from orderfleet_api.failure_log import FailureLog
from orderfleet_api.metrics import ApiMetrics

# Callers choose method and path freely, so what the API does not know must not become a label.
_OTHER: Final = "other"
_METHODS: Final = frozenset(method.value for method in HTTPMethod)
# nginx' status of a client that left before its answer.
_CLIENT_CLOSED: Final = "499"
_SERVER_ERROR: Final = "500"


def measured(app: ASGIApp, metrics: ApiMetrics, failures: FailureLog) -> ASGIApp:
    """Return the application with its requests counted, and its failures logged."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        began = perf_counter()
        status, seconds = _CLIENT_CLOSED, 0.0
        failed = False

        async def observed_send(message: Message) -> None:
            nonlocal status, seconds, failed
            if message["type"] == "http.response.start":
                status, seconds = str(message["status"]), perf_counter() - began
                failed = message["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR
            elif failed and message["type"] == "http.response.body":
                failed = False
                failures.answered(*_labels(scope), int(status), message["body"])
            await send(message)

        metrics.in_progress += 1
        try:
            await app(scope, receive, observed_send)
        except Exception:
            # The server answers with 500, unless an answer has begun.
            status = _SERVER_ERROR if status == _CLIENT_CLOSED else status
            raise
        finally:
            metrics.in_progress -= 1
            metrics.request_ended(*_labels(scope), status, seconds or perf_counter() - began)

    return handle


def _labels(scope: HTTPScope) -> tuple[str, str]:
    """Return a request's method and the template of its route, which Litestar's router adds."""
    method = str(scope["method"])
    return method if method in _METHODS else _OTHER, scope.get("path_template") or _OTHER
