"""The HTTP routes."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated
from uuid import NAMESPACE_URL, uuid4, uuid5

from litestar import HttpMethod, Response, Router, get, post, route
from litestar.middleware import ASGIMiddleware
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from litestar.response import Stream
from structlog.contextvars import bind_contextvars

from orderfleet.domain.contract import CHANGE_ID_PATTERN, Review
from orderfleet.domain.orders import ID_PATTERN, OrderState
from orderfleet_api import examples, listing, order_service
from orderfleet_api.listing import CURSOR_PATTERN
from orderfleet_api.requests import ApiRequest, look_at
from orderfleet_api.responses import JsonResponse, answers
from orderfleet_api.schemas import (
    APPLIED,
    Accepted,
    AddressRequest,
    CancelRequest,
    ChangeView,
    OrderList,
    OrderRequest,
    OrderView,
    ReviewRequest,
    StatusView,
)

# Litestar reads the bounds of a parameter from its own classes only.
PathId = Annotated[
    str,
    PathParameter(
        pattern=ID_PATTERN,
        max_length=64,
        description="Chosen by the caller; it is the workflow id too.",
    ),
]
OrderBody = Annotated[OrderRequest, examples.ORDER]
AddressBody = Annotated[AddressRequest, examples.ADDRESS]
CancelBody = Annotated[CancelRequest | None, examples.CANCEL]
ReviewBody = Annotated[ReviewRequest, examples.REVIEW]
_KEY = HeaderParameter(
    name="Idempotency-Key",
    pattern=CHANGE_ID_PATTERN,
    max_length=128,
    description="Names what is asked for: a repeat with the same key is applied once.",
)
IdempotencyKey = Annotated[str | None, _KEY]
RequiredKey = Annotated[str, _KEY]


@post("/orders", status_code=HTTPStatus.ACCEPTED, responses=answers(409, 413, 415))
async def place_order(
    request: ApiRequest,
    data: OrderBody,
    idempotency_key: RequiredKey,
) -> Response[Accepted]:
    """Accept an order whose id is made from the Idempotency-Key, which is required here."""
    # A key has no space, and its caller's name none either: no two callers meet.
    name = " ".join(filter(None, (request.actor, idempotency_key)))
    order_id = str(uuid5(NAMESPACE_URL, f"orderfleet:{name}"))
    bind_contextvars(order_id=order_id)
    return _accepted(
        await order_service.accept(request.backends, order_id, data, actor=request.actor)
    )


@post(
    "/orders/{order_id:str}/start",
    status_code=HTTPStatus.ACCEPTED,
    responses=answers(409, 413, 415),
)
async def start_order(request: ApiRequest, order_id: PathId, data: OrderBody) -> Response[Accepted]:
    """Accept an order; the same order again is the same answer, another one 409."""
    return _accepted(
        await order_service.accept(request.backends, order_id, data, actor=request.actor)
    )


@get("/orders", responses=answers())
async def list_orders(
    request: ApiRequest,
    # Litestar keeps the name `state` for itself; errors name it without the `in_`.
    in_state: Annotated[OrderState | None, QueryParameter(name="state")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500, description="Orders on a page.")] = 50,
    cursor: Annotated[
        str | None,
        QueryParameter(pattern=CURSOR_PATTERN, description="`next` of the page before."),
    ] = None,
) -> OrderList:
    """List orders, the newest first, a page at a time."""
    return await listing.page(request.backends, state=in_state, limit=limit, cursor=cursor)


@route(
    "/orders",
    http_method=HttpMethod.OPTIONS,
    status_code=HTTPStatus.NO_CONTENT,
    include_in_schema=False,
)
async def orders_methods() -> Response[None]:
    """Name both methods; the framework's own answer names only the first one registered."""
    allow = {"Allow": "GET, OPTIONS, POST"}
    return Response(None, status_code=HTTPStatus.NO_CONTENT, headers=allow)


@get("/orders/{order_id:str}/status", responses=answers(404))
async def order_status(request: ApiRequest, order_id: PathId) -> StatusView:
    """Tell state, step, attempts, errors and the time left."""
    return await order_service.status(request.backends, order_id)


@get("/orders/{order_id:str}", responses=answers(404))
async def show_order(request: ApiRequest, order_id: PathId) -> OrderView:
    """Show the order's row, its payments and its audit trail."""
    return await order_service.show(request.backends, order_id)


@get(
    "/orders/{order_id:str}/events",
    responses=answers(204, 404),
    media_type="text/event-stream",
)
async def order_events(
    request: ApiRequest,
    order_id: PathId,
    # A text: for a number, Litestar takes `1e2` too.
    last_event_id: Annotated[
        str,
        HeaderParameter(
            name="Last-Event-ID",
            pattern=r"^[0-9]{1,9}$(?!\n)",
            description="The number of the last event that was seen.",
        ),
    ] = "0",
) -> Stream | Response[None]:
    """Stream the audit trail until nothing more comes: the order has ended, its money is back.

    Who comes back after that is answered 204, which tells an EventSource to stay away.
    """
    return await request.streams.open(order_id, after=int(last_event_id))


@post(
    "/orders/{order_id:str}/signals/cancel",
    status_code=HTTPStatus.OK,
    responses=answers(202, 404, 409, 413, 415),
)
async def cancel_order(
    request: ApiRequest,
    order_id: PathId,
    idempotency_key: IdempotencyKey = None,
    data: CancelBody = None,
) -> Response[ChangeView]:
    """Cancel the order while its package has not been dispatched."""
    reason = data.reason if data is not None else ""
    key, actor = idempotency_key or _new_id(), request.actor
    return _changed(
        await order_service.cancel(request.backends, order_id, key, reason, actor=actor)
    )


@post(
    "/orders/{order_id:str}/signals/update-address",
    status_code=HTTPStatus.OK,
    responses=answers(202, 404, 409, 413, 415),
)
async def update_address(
    request: ApiRequest,
    order_id: PathId,
    data: AddressBody,
    idempotency_key: IdempotencyKey = None,
) -> Response[ChangeView]:
    """Change the address while the package has not been dispatched."""
    key, actor = idempotency_key or _new_id(), request.actor
    view = await order_service.update_address(
        request.backends, order_id, key, data.address, actor=actor
    )
    return _changed(view)


@post(
    "/orders/{order_id:str}/review",
    status_code=HTTPStatus.OK,
    responses=answers(404, 409, 413, 415),
)
async def review_order(
    request: ApiRequest,
    order_id: PathId,
    data: ReviewBody,
    idempotency_key: IdempotencyKey = None,
) -> Response[ChangeView]:
    """Approve or reject the order before the review's timer does."""
    decision = Review(approved=data.approved, reviewer=data.reviewer, reason=data.reason)
    key, actor = idempotency_key or _new_id(), request.actor
    return _changed(
        await order_service.review(request.backends, order_id, key, decision, actor=actor)
    )


def orders_router(middleware: Sequence[ASGIMiddleware]) -> Router:
    """Return the routes, within what each request to one of them passes first."""
    return Router(
        "/",
        middleware=middleware,
        before_request=look_at,
        request_class=ApiRequest,
        response_class=JsonResponse,
        tags=["orders"],
        route_handlers=[
            # First: a path gets the framework's own OPTIONS with the first other method on it.
            orders_methods,
            place_order,
            start_order,
            list_orders,
            order_status,
            show_order,
            order_events,
            cancel_order,
            update_address,
            review_order,
        ],
    )


def _accepted(accepted: Accepted) -> Response[Accepted]:
    location = f"/orders/{accepted.order_id}"
    return Response(accepted, status_code=HTTPStatus.ACCEPTED, headers={"Location": location})


def _changed(view: ChangeView) -> Response[ChangeView]:
    applied = view.outcome == APPLIED
    return Response(view, status_code=HTTPStatus.OK if applied else HTTPStatus.ACCEPTED)


def _new_id() -> str:
    return str(uuid4())
