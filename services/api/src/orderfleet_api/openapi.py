"""The OpenAPI document: the answers beside a route's own value, and what Litestar leaves out."""

from collections.abc import Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Schema,
    SecurityScheme,
)
from litestar.openapi.spec.enums import OpenAPIType
from litestar.routes import HTTPRoute

from orderfleet.domain.currencies import WHOLE, WHOLE_PRICE_PATTERN
from orderfleet.domain.orders import Address, Item, NewAddress, NewItem
from orderfleet.domain.roles import Role
from orderfleet_api import assets
from orderfleet_api.auth import required_role
from orderfleet_api.feed.envelope import EventPage
from orderfleet_api.schemas import (
    AddressRequest,
    CancelRequest,
    ChangeView,
    Forbidden,
    OrderRefused,
    OrderRequest,
    Problem,
    ReviewRequest,
)

_WHY: Final = {
    400: "Not JSON, or a required header is missing or repeated.",
    401: "No valid API key.",
    403: "The API key lacks the role. Without keys: a page of another origin, or a foreign Host.",
    404: "No such order.",
    408: "The body was not received in time.",
    409: "Too late, or another order has this id or payment id.",
    413: "The body is too large.",
    415: "The body is not declared as JSON, or is compressed.",
    422: "A value is invalid; `errors` points to it.",
    429: "Temporal is busy; retry after Retry-After.",
    503: "Temporal, Postgres or every worker is unavailable; retry after Retry-After.",
}
_WHY_REFUSED: Final = {
    429: "The fleet is busy (`busy`), or the caller has its share of it (`share`) or its own rate"
    " (`rate`): send the same order, with the same id, again after Retry-After.",
    503: "No worker has shown life, or Temporal or Postgres is unavailable (`away`): send the same"
    " order, with the same id, again after Retry-After.",
}
_RETRY_AFTER: Final = OpenAPIHeader(
    description="Seconds to wait.", schema=Schema(type=OpenAPIType.INTEGER, minimum=1)
)
_ALWAYS: Final = (400, 401, 403, 422, 429, 503)


def problem(description: str, document: type[Problem] = Problem) -> ResponseSpec:
    """Describe an answer that is a problem document."""
    return ResponseSpec(
        document,
        generate_examples=False,
        description=description,
        media_type="application/problem+json",
    )


def other_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe these statuses, and those that every route can answer."""
    problems = {status for status in (*statuses, *_ALWAYS) if status >= HTTPStatus.BAD_REQUEST}
    if HTTPStatus.REQUEST_ENTITY_TOO_LARGE in problems:
        problems.add(HTTPStatus.REQUEST_TIMEOUT)
    responses = {
        status: problem(_WHY[status], Forbidden if status == HTTPStatus.FORBIDDEN else Problem)
        for status in sorted(problems)
    }
    if HTTPStatus.NO_CONTENT in statuses:
        responses[204] = ResponseSpec(
            None, description="There will be no more events; do not reconnect."
        )
    if HTTPStatus.ACCEPTED in statuses:
        queued = "No worker answered in time: queued as a signal for the next one."
        responses[202] = ResponseSpec(ChangeView, generate_examples=False, description=queued)
    return responses


def order_responses() -> dict[int, ResponseSpec]:
    """Describe the answers of the routes that accept an order."""
    refused = {status: problem(why, OrderRefused) for status, why in _WHY_REFUSED.items()}
    return other_responses(409, 413, 415) | refused


def event_responses() -> dict[int, ResponseSpec]:
    """Describe the answers of the feed: its page here, its stream in `complete`."""
    page = ResponseSpec(
        EventPage, generate_examples=False, description="A page, or server-sent events."
    )
    return other_responses() | {200: page}


def config(*, secured: bool) -> OpenAPIConfig:
    """Return where the document and its page are, and whether a key is needed."""
    scheme = SecurityScheme(type="http", scheme="bearer", description="An API key.")
    return OpenAPIConfig(
        title="Orderfleet",
        version=version("orderfleet-api"),
        description="Orders, fulfilled inside 15 seconds. Errors are application/problem+json.",
        path="/docs",
        use_handler_docstrings=True,
        render_plugins=[
            SwaggerRenderPlugin(
                js_url=f"{assets.PATH}/swagger-ui-bundle.js",
                css_url=f"{assets.PATH}/swagger-ui.css",
                standalone_preset_js_url=f"{assets.PATH}/swagger-ui-standalone-preset.js",
                favicon="<link rel='icon' href='data:,'>",
            )
        ],
        components=Components(security_schemes={"key": scheme}) if secured else Components(),
        security=[{"key": []}] if secured else None,
    )


def complete(app: Litestar, *, secured: bool) -> None:
    """Add what Litestar's schemas leave out.

    Unknown members are refused, some prices are whole, answers that pass have a Retry-After, and
    operations name their roles.
    """
    schemas = app.openapi_schema.components.schemas
    bodies = (OrderRequest, CancelRequest, AddressRequest, ReviewRequest)
    for struct in (*bodies, NewAddress, NewItem, Address, Item):
        schemas[struct.__name__].additional_properties = False
    price = Schema(pattern=WHOLE_PRICE_PATTERN)
    order = schemas[OrderRequest.__name__]
    order.schema_if = Schema(properties={"currency": Schema(enum=WHOLE)}, required=["currency"])
    order.then = Schema(properties={"items": Schema(items=Schema(properties={"price": price}))})
    for path in (app.openapi_schema.paths or {}).values():
        for operation in filter(None, (path.get, path.post)):
            for status in _WHY_REFUSED:
                answer = (operation.responses or {}).get(str(status))
                if isinstance(answer, OpenAPIResponse):
                    answer.headers = {"Retry-After": _RETRY_AFTER}
    events = (app.openapi_schema.paths or {})["/events"].get
    answer = (events.responses or {}).get("200") if events is not None else None
    if isinstance(answer, OpenAPIResponse) and answer.content is not None:
        # Litestar describes one body for each status.
        stream = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
        answer.content["text/event-stream"] = stream
    for operation, role in _operations_with_roles(app):
        operation.description = f"{operation.description} Requires the role `{role}`."
        if secured:
            operation.security = [{"key": [role]}]


def _operations_with_roles(app: Litestar) -> Iterator[tuple[Operation, Role]]:
    paths = app.openapi_schema.paths or {}
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path_format in paths:
            for method, (handler, _) in route.route_handler_map.items():
                operation = getattr(paths[route.path_format], method.lower())
                if operation is not None and (role := required_role(handler)) is not None:
                    yield operation, role
