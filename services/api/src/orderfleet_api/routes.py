"""The HTTP routes."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated
from uuid import NAMESPACE_URL, uuid4, uuid5

from litestar import HttpMethod, Response, Router, get, post, route
from litestar.response import Stream
from litestar.types import Guard, Middleware
from structlog.contextvars import bind_contextvars

from orderfleet.domain.contract import Review
from orderfleet.domain.roles import Role
from orderfleet_api import examples, listing, order_service
from orderfleet_api.auth import requires
from orderfleet_api.bodies import StrictRequest
from orderfleet_api.dependencies import (
    Actor,
    CallerRoles,
    InjectedBackends,
    InjectedOverviews,
    InjectedStreams,
)
from orderfleet_api.feed.routes import all_events
from orderfleet_api.openapi import order_responses, other_responses
from orderfleet_api.overview import Overview
from orderfleet_api.parameters import (
    Cursor,
    IdempotencyKey,
    LastEventId,
    Limit,
    PathId,
    PriorityHeader,
    RequiredIdempotencyKey,
    StateFilter,
    before_request,
)
from orderfleet_api.priority_header import is_background
from orderfleet_api.schemas import (
    APPLIED,
    Accepted,
    AddressRequest,
    Caller,
    CancelRequest,
    ChangeView,
    OrderLinks,
    OrderList,
    OrderRequest,
    OrderView,
    ReviewRequest,
    StatusView,
)

OrderBody = Annotated[OrderRequest, examples.ORDER]
AddressBody = Annotated[AddressRequest, examples.ADDRESS]
CancelBody = Annotated[CancelRequest | None, examples.CANCEL]
ReviewBody = Annotated[ReviewRequest, examples.REVIEW]


@post(
    "/orders",
    opt=requires(Role.PLACE),
    status_code=HTTPStatus.ACCEPTED,
    responses=order_responses(),
)
async def place_order(
    backends: InjectedBackends,
    actor: Actor,
    data: OrderBody,
    idempotency_key: RequiredIdempotencyKey,
    priority: PriorityHeader = "",
) -> Response[Accepted]:
    """Accept an order whose id is made from the Idempotency-Key, which is required here."""
    # Neither a key nor a caller's name has a space, so the ids of two callers never collide.
    name = " ".join(filter(None, (actor, idempotency_key)))
    order_id = str(uuid5(NAMESPACE_URL, f"orderfleet:{name}"))
    bind_contextvars(order_id=order_id)
    background = is_background(priority)
    return _accepted(
        await order_service.accept(backends, order_id, data, actor=actor, background=background)
    )


@post(
    "/orders/{order_id:str}/start",
    opt=requires(Role.PLACE),
    status_code=HTTPStatus.ACCEPTED,
    responses=order_responses(),
)
async def start_order(
    backends: InjectedBackends,
    actor: Actor,
    order_id: PathId,
    data: OrderBody,
    priority: PriorityHeader = "",
) -> Response[Accepted]:
    """Accept an order; a repeat is answered alike, another order of the same id with 409."""
    background = is_background(priority)
    return _accepted(
        await order_service.accept(backends, order_id, data, actor=actor, background=background)
    )


@get("/orders", opt=requires(Role.READ), responses=other_responses())
async def list_orders(
    backends: InjectedBackends,
    # Litestar reserves the name `state`; errors leave out the `in_`.
    in_state: StateFilter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> OrderList:
    """List orders, the newest first, a page at a time."""
    return await listing.page(backends, state=in_state, limit=limit, cursor=cursor)


@get("/overview", opt=requires(Role.READ), responses=other_responses())
async def show_overview(overviews: InjectedOverviews) -> Overview:
    """Return what the board shows: open orders, ends, task queues, admission.

    It is up to a second old, and the same for all who ask this process. A part whose source is
    unavailable is null, and `unavailable` says why.
    """
    return await overviews.get()


@route(
    "/orders",
    http_method=HttpMethod.OPTIONS,
    status_code=HTTPStatus.NO_CONTENT,
    include_in_schema=False,
)
async def orders_methods() -> Response[None]:
    """Name both methods; Litestar's own answer names only the first that was registered."""
    allow = {"Allow": "GET, OPTIONS, POST"}
    return Response(None, status_code=HTTPStatus.NO_CONTENT, headers=allow)


@get("/orders/{order_id:str}/status", opt=requires(Role.READ), responses=other_responses(404))
async def order_status(backends: InjectedBackends, order_id: PathId) -> StatusView:
    """Return state, step, attempts, errors and the time left."""
    return await order_service.status(backends, order_id)


@get("/orders/{order_id:str}", opt=requires(Role.READ), responses=other_responses(404))
async def show_order(backends: InjectedBackends, order_id: PathId) -> OrderView:
    """Return the order, its payments and its audit trail, as Postgres has them."""
    return await order_service.show(backends, order_id)


@get("/orders/{order_id:str}/links", opt=requires(Role.READ), responses=other_responses(404))
async def order_links(backends: InjectedBackends, order_id: PathId) -> OrderLinks:
    """Return the addresses of the order's workflow in Temporal's UI and of its trace."""
    return await order_service.links(backends, order_id)


@get("/whoami", opt=requires(Role.READ), responses=other_responses())
async def whoami(backends: InjectedBackends, actor: Actor, caller_roles: CallerRoles) -> Caller:
    """Return the name and the roles of the caller's key, and the time that an order has."""
    roles = [role for role in Role if role in caller_roles]
    return Caller(actor, roles, backends.settings.order_deadline_seconds)


@get(
    "/orders/{order_id:str}/events",
    opt=requires(Role.READ),
    responses=other_responses(204, 404),
    media_type="text/event-stream",
)
async def order_events(
    streams: InjectedStreams, order_id: PathId, last_event_id: LastEventId = "0"
) -> Stream | Response[None]:
    """Stream the audit trail until no more can follow: the order has ended, refunds included.

    After that the answer is 204, which stops an EventSource from reconnecting.
    """
    return await streams.open(order_id, after=int(last_event_id))


@post(
    "/orders/{order_id:str}/signals/cancel",
    opt=requires(Role.CHANGE),
    status_code=HTTPStatus.OK,
    responses=other_responses(202, 404, 409, 413, 415),
)
async def cancel_order(
    backends: InjectedBackends,
    actor: Actor,
    order_id: PathId,
    idempotency_key: IdempotencyKey = None,
    data: CancelBody = None,
) -> Response[ChangeView]:
    """Cancel the order while its package has not been dispatched."""
    reason = data.reason if data is not None else ""
    key = idempotency_key or str(uuid4())
    return _changed(await order_service.cancel(backends, order_id, key, reason, actor=actor))


@post(
    "/orders/{order_id:str}/signals/update-address",
    opt=requires(Role.CHANGE),
    status_code=HTTPStatus.OK,
    responses=other_responses(202, 404, 409, 413, 415),
)
async def update_address(
    backends: InjectedBackends,
    actor: Actor,
    order_id: PathId,
    data: AddressBody,
    idempotency_key: IdempotencyKey = None,
) -> Response[ChangeView]:
    """Change the address while the package has not been dispatched."""
    key = idempotency_key or str(uuid4())
    view = await order_service.update_address(backends, order_id, key, data.address, actor=actor)
    return _changed(view)


@post(
    "/orders/{order_id:str}/review",
    opt=requires(Role.REVIEW),
    status_code=HTTPStatus.OK,
    responses=other_responses(404, 409, 413, 415),
)
async def review_order(
    backends: InjectedBackends,
    actor: Actor,
    order_id: PathId,
    data: ReviewBody,
    idempotency_key: IdempotencyKey = None,
) -> Response[ChangeView]:
    """Approve or reject the order before the review's timer does."""
    decision = Review(approved=data.approved, reviewer=data.reviewer, reason=data.reason)
    key = idempotency_key or str(uuid4())
    return _changed(await order_service.review(backends, order_id, key, decision, actor=actor))


def orders_router(*, guards: Sequence[Guard], middleware: Sequence[Middleware]) -> Router:
    """Return the routes of orders, each behind the middleware, then the guards."""
    return Router(
        "/",
        guards=guards,
        middleware=middleware,
        before_request=before_request,
        request_class=StrictRequest,
        tags=["orders"],
        route_handlers=[
            # First: with any other method of a path, Litestar adds an OPTIONS of its own.
            orders_methods,
            place_order,
            start_order,
            list_orders,
            order_status,
            show_order,
            show_overview,
            order_links,
            order_events,
            all_events,
            cancel_order,
            update_address,
            review_order,
            whoami,
        ],
    )


def _accepted(accepted: Accepted) -> Response[Accepted]:
    location = f"/orders/{accepted.order_id}"
    return Response(accepted, status_code=HTTPStatus.ACCEPTED, headers={"Location": location})


def _changed(view: ChangeView) -> Response[ChangeView]:
    applied = view.outcome == APPLIED
    return Response(view, status_code=HTTPStatus.OK if applied else HTTPStatus.ACCEPTED)
