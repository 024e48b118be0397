"""A request as the routes are given it: what they work with, who asks, of which order."""

import re
from collections.abc import Iterable
from typing import Any, Final

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.params import QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from orderfleet_api import bodies, errors
from orderfleet_api.backends import Backends
from orderfleet_api.event_stream import EventStreams
from orderfleet_api.keys import Keys, name_of

_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)

# Names in the state of the application, and of a request.
BACKENDS: Final = "backends"
STREAMS: Final = "streams"
_ACTOR: Final = "actor"


class ApiRequest(Request[Any, Any, Any]):
    """A request that leads to what its route works with.

    Not Litestar's dependency injection, which takes 15 us to hand over what is always the same.
    """

    async def json(self) -> Any:
        """Read the body as what the route takes; `Litestar` takes such a value as it is."""
        field = self.route_handler.parsed_data_field
        return None if field is None else bodies.decode(await self.body(), field.annotation)

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
        name = name_of(self._keys, header)
        if name is None:
            raise errors.unauthorized()
        scope["state"][_ACTOR] = name
        await next_app(scope, receive, send)


async def look_at(request: Request[Any, Any, Any]) -> None:
    """Refuse an odd query, and name the order of the path in every line that is logged from here.

    A server runs each request in a task of its own, with which the name goes.
    """
    if request.scope["query_string"]:
        _check_query(request.route_handler, request.query_params.multi_items())
    if order_id := request.path_params.get("order_id"):
        bind_contextvars(order_id=order_id)


def _check_query(handler: HTTPRouteHandler, query: Iterable[tuple[str, str]]) -> None:
    """Refuse what Litestar passes over (a name that is unknown or comes twice) or makes fit.

    It takes `null` for nothing, and `1e2` for a number.
    """
    known = {
        field.kwarg_definition.name or name: field
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }
    seen: set[str] = set()
    for name, text in query:
        detail = ""
        if name not in known:
            detail = "There is no such parameter"
        elif name in seen:
            detail = "The parameter comes twice"
        elif text == "null":
            detail = "Expected a value, or no parameter"
        elif known[name].annotation is int and not _INTEGER.fullmatch(text):
            detail = "Expected `int`"
        if detail:
            raise errors.unprocessable((f"query {name}", detail))
        seen.add(name)
