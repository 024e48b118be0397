"""L0 as a subject, and the start of a workflow by itself (L2)."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy

from orderfleet.domain.contract import OPEN, ORDER_STATE
from orderfleet.domain.policies import TASK_TIMEOUT
from orderfleet_cli.local.processes import Process, Program, environment
from tests.bench.floor.workflow import DEADLINE, ORDERS, ORDERS_OF, SHIPPING, FloorOrder
from tests.bench.server import Server
from tests.bench.subjects.subject import End
from tests.bench.temporal import ends, missed, polled
from tests.bench.usage import Tree


@dataclass(frozen=True)
class Floor:
    """Bare workflows on bare workers."""

    client: Client
    workflow: str
    review: float
    trees: Mapping[str, Tree]

    async def place(self, order_id: str) -> None:
        """Start the workflow, with nothing before or after it."""
        await self.client.start_workflow(
            self.workflow,
            FloorOrder(f"pay-{order_id}", "1 Main St", "Springfield", self.review),
            id=order_id,
            task_queue=ORDERS,
            execution_timeout=DEADLINE,
            task_timeout=TASK_TIMEOUT,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=TypedSearchAttributes([SearchAttributePair(ORDER_STATE, OPEN)]),
        )

    async def missed(self, prefix: str) -> int:
        return await missed(self.client, self.workflow, prefix)

    async def ends(self, prefix: str) -> dict[str, End]:
        return await ends(self.client, self.workflow, prefix)


@asynccontextmanager
async def run_floor(
    data: Path, server: Server, *, shape: str, review: float
) -> AsyncIterator[Floor]:
    client = await server.client()
    workers = {
        name: _worker(data, server, client, name, queue)
        for name, queue in (("orders", ORDERS), ("shipping", SHIPPING))
    }
    try:
        for worker in workers.values():
            await worker.start()
        trees = {f"{name.removesuffix('s')} worker": Tree(one) for name, one in workers.items()}
        yield Floor(client, ORDERS_OF[shape].__name__, review, trees)
    finally:
        for worker in workers.values():
            await worker.stop()


def _worker(data: Path, server: Server, client: Client, name: str, queue: str) -> Process:
    async def ready() -> bool:
        return await polled(client, queue)

    argv = (sys.executable, "-m", "tests.bench.floor.worker", name)
    env = environment() | {"TEMPORAL_ADDRESS": server.address}
    return Process(Program(name=f"floor-{name}", argv=argv, env=env, ready=ready), data)
