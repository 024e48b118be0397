"""Parameters of path, query and header: their types, and the strict reading of a query."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from litestar.typing import FieldDefinition
from msgspec import Meta
from structlog.contextvars import bind_contextvars

from orderfleet.domain.contract import CHANGE_ID_PATTERN
from orderfleet.domain.orders import ID_PATTERN, OrderState
from orderfleet_api import errors
from orderfleet_api.listing import CURSOR_PATTERN

EVENT_NUMBER_PATTERN: Final = r"^[0-9]{1,9}$(?!\n)"
FEED_CURSOR_PATTERN: Final = r"^[0-9]{0,18}$(?!\n)"
EVENT_TYPE_PATTERN: Final = r"^[a-z][a-z_]{0,63}$(?!\n)"
TENANT_PATTERN: Final = r"^[A-Za-z0-9._-]{1,64}$(?!\n)"
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

FeedCursor = Annotated[
    str | None,
    QueryParameter(
        pattern=FEED_CURSOR_PATTERN,
        description="`cursor` of a page, or `id` of a message. Empty is the beginning; left out, a "
        "page begins there too, and a stream with what comes from now on.",
    ),
]
FeedLastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        pattern=FEED_CURSOR_PATTERN,
        description="The `id` of the last message that was seen; it goes before `after`.",
    ),
]
FeedLimit = Annotated[
    int | None,
    QueryParameter(ge=1, le=500, description="Asks for a page of so many events at most."),
]
OrderFilter = Annotated[
    list[Annotated[str, Meta(pattern=ID_PATTERN, max_length=64)]] | None,
    QueryParameter(name="order_id", description="Only events of these orders."),
]
StatesFilter = Annotated[
    list[OrderState] | None,
    QueryParameter(name="state", description="Only events that left their order in these states."),
]
TypeFilter = Annotated[
    list[Annotated[str, Meta(pattern=EVENT_TYPE_PATTERN)]] | None,
    QueryParameter(name="type", description="Only events of these types."),
]
TenantFilter = Annotated[
    list[Annotated[str, Meta(pattern=TENANT_PATTERN)]] | None,
    QueryParameter(name="tenant", description="Only events of orders placed with these API keys."),
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
        elif name in seen and not _is_repeatable(parameters[name]):
            detail = "Duplicate parameter"
        elif text == "null":
            detail = "Expected a value, or no parameter"
        elif _is_integer(parameters[name]) and not _INTEGER.fullmatch(text):
            detail = "Expected `int`"
        if detail:
            raise errors.unprocessable((f"query {name}", detail))
        seen.add(name)


def _is_repeatable(field: FieldDefinition) -> bool:
    """Return whether a parameter takes a list of values."""
    return any(part.is_non_string_sequence for part in (field, *field.inner_types))


def _is_integer(field: FieldDefinition) -> bool:
    return any(part.annotation is int for part in (field, *field.inner_types))
