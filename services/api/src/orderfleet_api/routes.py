"""The HTTP routes."""

from http import HTTPStatus
from typing import Annotated
from uuid import uuid4

from litestar import Response, Router, get, post
from litestar.params import Body, Parameter

from orderfleet.messages import CHANGE_ID_PATTERN, Review
from orderfleet.orders import ID_PATTERN
from orderfleet_api import orders
from orderfleet_api.backends import Backends
from orderfleet_api.schemas import (
    APPLIED,
    Accepted,
    AddressRequest,
    CancelRequest,
    ChangeView,
    OrderRequest,
    OrderView,
    ReviewRequest,
    StatusView,
)

# Litestar reads the bounds of a parameterfrom its own Parameter only.
PathId = Annotated[
    str,
    Parameter(
        pattern=ID_PATTERN,
        max_length=64,
        description="Chosen by the caller; it is the workflow id too.",
    ),
]
ChangeKey = Annotated[
    str | None,
    Parameter(
        header="Idempotency-Key",
        pattern=CHANGE_ID_PATTERN,
        max_length=128,
        description="Names the change: a repeat with the same key is applied once.",
    ),
]


@post("/orders/{order_id:str}/start", status_code=HTTPStatus.ACCEPTED)
async def start_order(
    order_id: PathId, data: OrderRequest, backends: Backends
) -> Response[Accepted]:
    """Accept an order; the same order again is the same answer, another one 409."""
    accepted = await orders.accept(backends, order_id, data)
    return Response(
        accepted, status_code=HTTPStatus.ACCEPTED, headers={"Location": f"/orders/{order_id}"}
    )


@get("/orders/{order_id:str}/status")
async def order_status(order_id: PathId, backends: Backends) -> StatusView:
    """Tell state, step, attempts, errors and the time left."""
    return await orders.status(backends, order_id)


@get("/orders/{order_id:str}")
async def show_order(order_id: PathId, backends: Backends) -> OrderView:
    """Show the order's row, its payments and its audit trail."""
    return await orders.show(backends, order_id)


@post("/orders/{order_id:str}/signals/cancel", status_code=HTTPStatus.OK)
async def cancel_order(
    order_id: PathId,
    backends: Backends,
    change_key: ChangeKey = None,
    data: Annotated[CancelRequest | None, Body()] = None,
) -> Response[ChangeView]:
    """Cancel the order while its package has not been dispatched."""
    reason = data.reason if data is not None else ""
    return _answer(await orders.cancel(backends, order_id, change_key or _new_id(), reason))


@post("/orders/{order_id:str}/signals/update-address", status_code=HTTPStatus.OK)
async def update_address(
    order_id: PathId, data: AddressRequest, backends: Backends, change_key: ChangeKey = None
) -> Response[ChangeView]:
    """Change the address while the package has not been dispatched."""
    change_id = change_key or _new_id()
    return _answer(await orders.update_address(backends, order_id, change_id, data.address))


@post("/orders/{order_id:str}/review", status_code=HTTPStatus.OK)
async def review_order(
    order_id: PathId, data: ReviewRequest, backends: Backends, change_key: ChangeKey = None
) -> Response[ChangeView]:
    """Approve or reject the order before the review's timer does."""
    decision = Review(approved=data.approved, reviewer=data.reviewer, reason=data.reason)
    return _answer(await orders.review(backends, order_id, change_key or _new_id(), decision))


def _answer(view: ChangeView) -> Response[ChangeView]:
    applied = view.outcome == APPLIED
    return Response(view, status_code=HTTPStatus.OK if applied else HTTPStatus.ACCEPTED)


def _new_id() -> str:
    return str(uuid4())


ROUTER = Router(
    "/",
    route_handlers=[
        start_order,
        order_status,
        show_order,
        cancel_order,
        update_address,
        review_order,
    ],
)
