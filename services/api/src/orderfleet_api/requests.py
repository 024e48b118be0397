"""A request as the routes are given it: what they work with, who asks, of which order."""

from typing import Any, Final

from litestar import Request
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from orderfleet_api import problems
from orderfleet_api.backends import Backends
from orderfleet_api.events import EventStreams
from orderfleet_api.keys import Keys, name_of

# Names in the state of the application, and of a request.
BACKENDS: Final = "backends"
STREAMS: Final = "streams"
_ACTOR: Final = "actor"


class ApiRequest(Request[Any, Any, Any]):
    """A request that leads to what its route works with.

    Not Litestar's dependency injection, which takes 15 us to hand over what is always the same.
    """

    @property
    def backends(self) -> Backends:
        """Return Postgres and Temporal, the same for all requests."""
        backends: Backends = self.app.state[BACKENDS]
        return backends

    @property
    def streams(self) -> EventStreams:
        """Return the event streams of this process."""
        streams: EventStreams = self.app.state[STREAMS]
        return streams

    @property
    def actor(self) -> str:
        """Return the name of the key that was shown, if keys are asked for."""
        return str(self.scope["state"].get(_ACTOR, ""))


class RequireKey(ASGIMiddleware):
    """Lets nobody in without a key, and remembers whose it is.

    Not a guard: Litestar copies the route's handler for each of them, 10 us a request.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Look for the key in the headers."""
        header = dict(scope["headers"]).get(b"authorization", b"")
        name = name_of(self._keys, header.decode("latin-1"))
        if name is None:
            raise problems.unauthorized()
        scope["state"][_ACTOR] = name
        await next_app(scope, receive, send)


async def log_order(request: Request[Any, Any, Any]) -> None:
    """Name the order of the path in every line that is logged on the way of a request.

    A server runs each request in a task of its own, with which the name goes.
    """
    if order_id := request.path_params.get("order_id"):
        bind_contextvars(order_id=order_id)
