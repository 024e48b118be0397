"""A span for each request to a route of orders; imported only if spans are exported.

Litestar's OpenTelemetry plugin names a span by its path, order id included, and the ASGI
instrumentation beneath it sends the client's address, its user agent and the query, without a
switch to leave them out.
"""

from http import HTTPStatus
from typing import Final

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.context import Context
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_SCHEME
from opentelemetry.trace import SpanKind, Status, StatusCode, get_tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from orderfleet.observability.otel.span_processor import ORDER_ID

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_CONTEXT: Final = (b"traceparent", b"tracestate")


class RequestSpans(ASGIMiddleware):
    """Starts a span for each request, in the caller's trace if there is one."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Handle the request within its span."""
        method, route = str(scope.get("method", "")), scope["path_template"]
        attributes = {
            HTTP_REQUEST_METHOD: method,
            HTTP_ROUTE: route,
            URL_PATH: scope["path"],
            URL_SCHEME: scope["scheme"],
        }
        if order_id := scope["path_params"].get("order_id"):
            attributes[ORDER_ID] = order_id
        with get_tracer(__name__).start_as_current_span(
            f"{method} {route}",
            context=_caller_context(scope),
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            async def observed_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
                    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                        span.set_attribute(ERROR_TYPE, str(status))
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await next_app(scope, receive, observed_send)


def _caller_context(scope: Scope) -> Context:
    """Return the caller's trace context, without its baggage."""
    carrier = {
        name.decode(): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in _CONTEXT
    }
    return _PROPAGATOR.extract(carrier, Context())
