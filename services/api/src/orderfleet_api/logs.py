"""Every line that is logged on the way of a request names the order that it is about."""

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bound_contextvars


class OrderLogs(ASGIMiddleware):
    """Binds the order id of the path; a route that finds it elsewhere binds it by itself."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request pass with its order bound."""
        order_id = scope["path_params"].get("order_id")
        with bound_contextvars(**({"order_id": order_id} if order_id else {})):
            await next_app(scope, receive, send)
