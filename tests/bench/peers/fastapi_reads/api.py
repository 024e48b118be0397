"""The two reads of the API, on FastAPI: the fleet's own statements, rows and JSON."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import asyncpg
import msgspec
from fastapi import APIRouter, FastAPI, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from orderfleet.domain.orders import OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store import queries
from orderfleet.store.pool import set_codecs
from tests.bench.peers.serving import serve

_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
OrderId = Annotated[str, Path(pattern="^" + _ID)]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(pattern=r"^[0-9]{1,16}\." + _ID)]


class Row(BaseModel):
    # The store's rows are objects, and FastAPI makes the answer of them by itself.
    model_config = ConfigDict(from_attributes=True)


class Item(Row):
    sku: str
    quantity: int
    price: str


class Payment(Row):
    payment_id: str
    status: PaymentStatus
    amount: str
    currency: str
    created_at: datetime


class Event(Row):
    number: int
    type: str
    payload: dict[str, Any]
    ts: datetime


class OrderSummary(Row):
    id: str
    payment_id: str
    amount: str
    currency: str
    state: OrderState
    created_at: datetime
    updated_at: datetime


class OrderView(OrderSummary):
    address: dict[str, Any]
    items: list[Item]
    payments: list[Payment]
    events: list[Event]


class OrderList(Row):
    orders: list[OrderSummary]
    next: str | None


async def leave_session(_: object) -> None:
    """Save the round trip of asyncpg's reset after each statement, as the fleet does."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect to Postgres while the API serves."""
    # asyncpg's own pool, without its reset after each statement, which would be a round trip more.
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=1, max_size=10, init=set_codecs, reset=leave_session
    ) as app.state.pool:
        yield


router = APIRouter()


@router.get("/ready")
async def ready() -> str:
    return "ready"


@router.get("/orders/{order_id}", response_model=OrderView)
async def show_order(request: Request, order_id: OrderId) -> Any:
    pool = request.app.state.pool
    record = await queries.find_record(pool, order_id)
    if record is None:
        raise HTTPException(404, f"no order {order_id}")
    order = msgspec.structs.asdict(record.order)
    return order | {"payments": record.payments, "events": record.events}


@router.get("/orders", response_model=OrderList)
async def list_orders(
    request: Request, state: OrderState | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Any:
    before = None
    if cursor is not None:
        created_at, order_id = cursor.split(".", 1)
        before = (_EPOCH + int(created_at) * _MICROSECOND, order_id)
    # One more than asked for tells whether there is a next page.
    found = await queries.list_orders(
        request.app.state.pool, state=state, before=before, limit=limit + 1
    )
    orders = found[:limit]
    last = orders[-1] if len(found) > limit else None
    after = None if last is None else f"{(last.created_at - _EPOCH) // _MICROSECOND}.{last.id}"
    return {"orders": orders, "next": after}


if __name__ == "__main__":
    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    serve(app)
