"""Parameters of path, query and header: their types, and the strict reading of a query."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from structlog.contextvars import bind_contextvars

from orderfleet.domain.contract import CHANGE_ID_PATTERN
from orderfleet.domain.orders import ID_PATTERN, OrderState
from orderfleet_api import errors
from orderfleet_api.listing import CURSOR_PATTERN

EVENT_NUMBER_PATTERN: Final = r"^[0-9]{1,9}$(?!\n)"
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)

# Litestar reads the bounds of a parameter from its own classes only.
PathId = Annotated[
    str,
    PathParameter(
        pattern=ID_PATTERN,
        max_length=64,
        description="Chosen by the caller; it is the workflow id too.",
    ),
]
_KEY: Final = HeaderParameter(
    name="Idempotency-Key",
    pattern=CHANGE_ID_PATTERN,
    max_length=128,
    description="Names what is asked for: a repeat with the same key is applied once.",
)
IdempotencyKey = Annotated[str | None, _KEY]
RequiredIdempotencyKey = Annotated[str, _KEY]
PriorityHeader = Annotated[
    str,
    HeaderParameter(
        name="Priority",
        description=(
            "RFC 9218. `u=7` is an order of low importance (background): it is refused earlier and "
            "started later than others. Everything else is a normal order."
        ),
    ),
]
StateFilter = Annotated[OrderState | None, QueryParameter(name="state")]
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="Orders on a page.")]
Cursor = Annotated[
    str | None,
    QueryParameter(pattern=CURSOR_PATTERN, description="`next` of the page before."),
]
# A text: for a number, Litestar takes `1e2` too.
LastEventId = Annotated[
    str,
    HeaderParameter(
        name="Last-Event-ID",
        pattern=EVENT_NUMBER_PATTERN,
        description="The number of the last event that was seen.",
    ),
]


async def before_request(request: Request[Any, Any, Any]) -> None:
    """Check the query, and bind the order's id to every log line of the request.

    The server runs each request in a context of its own, so that nothing has to unbind the id.
    """
    if request.scope["query_string"]:
        _check_query(request.route_handler, request.query_params.multi_items())
    if order_id := request.path_params.get("order_id"):
        bind_contextvars(order_id=order_id)


def _check_query(handler: HTTPRouteHandler, query: Iterable[tuple[str, str]]) -> None:
    """Refuse what Litestar ignores (an unknown or repeated parameter) or converts.

    Litestar takes `null` for no value, and `1e2` for an integer.
    """
    parameters = {
        field.kwarg_definition.name or name: field
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }
    seen: set[str] = set()
    for name, text in query:
        detail = ""
        if name not in parameters:
            detail = "Unknown parameter"
        elif name in seen:
            detail = "Duplicate parameter"
        elif text == "null":
            detail = "Expected a value, or no parameter"
        elif parameters[name].annotation is int and not _INTEGER.fullmatch(text):
            detail = "Expected `int`"
        if detail:
            raise errors.unprocessable((f"query {name}", detail))
        seen.add(name)
