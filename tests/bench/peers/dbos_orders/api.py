"""The API and the workflows, in one process: DBOS is a library, and Postgres its only server."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from dbos import DBOS, DBOSConfig, SetWorkflowID
from fastapi import FastAPI, Request

from orderfleet.store.pool import open_pool
from tests.bench.peers.common_way.messages import Id, Order
from tests.bench.peers.dbos_orders.orders import REVIEW, Orders
from tests.bench.peers.fastapi_reads.api import router
from tests.bench.peers.serving import serve

CONFIG: DBOSConfig = {
    "name": "orders",
    "application_version": "1",
    "enable_otlp": False,
    "log_level": "WARNING",
    "db_engine_kwargs": {"pool_pre_ping": False},
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run DBOS while the API serves; what was interrupted goes on at its start.

    Launched here and not before the server, it has this event loop for its workflows, and so have
    the connections.
    """
    url = os.environ["DATABASE_URL"]
    app.state.review_seconds = float(os.environ.get("REVIEW_SECONDS", "2"))
    # As many connections as the fleet's API and two workers have together; DBOS has 20 of its own.
    async with open_pool(url, size=30, wait_seconds=30) as app.state.pool:
        DBOS(config={**CONFIG, "system_database_url": url})
        app.state.orders = Orders(app.state.pool)
        DBOS.launch()
        yield
        DBOS.destroy()


app = FastAPI(lifespan=lifespan)
app.include_router(router)


@app.post("/orders/{order_id}/start", status_code=202)
async def start_order(request: Request, order_id: Id, order: Order) -> dict[str, str]:
    state = request.app.state
    with SetWorkflowID(order_id):
        await DBOS.start_workflow_async(
            state.orders.fulfil, order_id, asdict(order), state.review_seconds
        )
    return {"order_id": order_id, "state": "received"}


@app.post("/orders/{order_id}/review", status_code=202)
async def review_order(order_id: Id, approved: bool) -> None:
    await DBOS.send_async(order_id, approved, REVIEW)


if __name__ == "__main__":
    serve(app)
