"""The API."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from tests.bench.peers.common_way.messages import ORDERS_QUEUE, Id, Order, OrderInput
from tests.bench.peers.common_way.models import OrderRow, open_engine
from tests.bench.peers.common_way.workflows import OrderWorkflow
from tests.bench.peers.serving import serve


class OrderView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    payment_id: str
    amount: Decimal
    currency: str
    state: str
    address_json: dict[str, Any]
    items_json: list[dict[str, Any]]
    created_at: datetime
    updated_at: datetime


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect to Postgres and Temporal while the API serves."""
    engine, app.state.sessions = open_engine(os.environ["DATABASE_URL"], 10)
    app.state.temporal = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    app.state.review_seconds = float(os.environ.get("REVIEW_SECONDS", "2"))
    app.state.deadline = timedelta(seconds=float(os.environ.get("ORDER_DEADLINE_SECONDS", "15")))
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/ready")
async def ready() -> str:
    return "ready"


@app.post("/orders/{order_id}/start", status_code=202)
async def start_order(request: Request, order_id: Id, order: Order) -> dict[str, str]:
    state = request.app.state
    try:
        await state.temporal.start_workflow(
            OrderWorkflow.run,
            OrderInput(order_id, order, state.review_seconds),
            id=order_id,
            task_queue=ORDERS_QUEUE,
            execution_timeout=state.deadline,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
    except WorkflowAlreadyStartedError:
        raise HTTPException(409, f"order {order_id} exists") from None
    return {"order_id": order_id, "state": "received"}


@app.get("/orders/{order_id}", response_model=OrderView)
async def show_order(request: Request, order_id: Id) -> OrderRow:
    async with request.app.state.sessions() as session:
        if order := await session.get(OrderRow, order_id):
            return order
    raise HTTPException(404, f"no order {order_id}")


@app.get("/orders", response_model=list[OrderView])
async def list_orders(request: Request, limit: int = 50) -> Sequence[OrderRow]:
    async with request.app.state.sessions() as session:
        newest = select(OrderRow).order_by(OrderRow.created_at.desc()).limit(limit)
        return (await session.scalars(newest)).all()


if __name__ == "__main__":
    serve(app)
