"""L2: how long the API takes to accept an order, beside the bare start of the same workflow.

No worker runs, so nothing but acceptance takes place. Both kinds take turns, so that they meet the
same server. The workflows end by their execution timeout, in a namespace and a database of their
own: ReconcileOrders would look after them while something else is measured.
"""

from datetime import timedelta
from itertools import count
from typing import Final

from msgspec import Struct
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy

from orderfleet.domain import contract, policies
from orderfleet.domain.contract import OrderInput
from orderfleet.domain.orders import Address
from orderfleet.temporal.converter import make_data_converter
from tests.bench.bench import Bench
from tests.bench.http import ADDRESS
from tests.bench.load import Rate, place
from tests.bench.spread import percentiles
from tests.bench.subjects.orderfleet import Options, run_orderfleet
from tests.bench.subjects.subject import DEADLINE_SECONDS

PART: Final = "accept"
PER_SECOND: Final = 10.0
# 400 of each kind: of 200 the p99 is the second, and differs by half from run to run.
SECONDS: Final = 40.0


class Accepted(Struct, frozen=True):
    """Seconds from due to accepted."""

    api: dict[str, float]
    bare: dict[str, float]
    refused: int


async def accept(bench: Bench) -> None:
    """Place orders by the API and bare workflows by turns."""
    prefix = bench.prefix("accept")
    client = await bench.server.client(namespace=PART, data_converter=make_data_converter())
    options = Options(workers=0, database=PART, env={"TEMPORAL_NAMESPACE": PART})
    async with run_orderfleet(bench.data, bench.server, options) as fleet:
        numbers = count()

        async def send(order_id: str) -> None:
            if next(numbers) % 2:
                await fleet.place(order_id)
            else:
                await _start(client, order_id)

        await place(f"{prefix}w", Rate(2 * PER_SECOND, 2), send)
        numbers = count()
        placed = await place(prefix, Rate(2 * PER_SECOND, SECONDS), send)
    by_turn = {order_id: number % 2 for number, order_id in enumerate(placed.due)}
    api, bare = (
        [
            placed.accepted[one]
            for one, by in by_turn.items()
            if by == turn and one in placed.accepted
        ]
        for turn in (1, 0)
    )
    bench.results.add(
        PART, "start", Accepted(percentiles(api), percentiles(bare), placed.refused.total())
    )


async def _start(client: Client, order_id: str) -> None:
    await client.start_workflow(
        contract.ORDER_WORKFLOW,
        OrderInput(payment_id=f"pay-{order_id}", address=Address(**ADDRESS)),
        id=order_id,
        task_queue=contract.ORDER_TASK_QUEUE,
        execution_timeout=timedelta(seconds=DEADLINE_SECONDS),
        task_timeout=policies.TASK_TIMEOUT,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(contract.ORDER_STATE, contract.OPEN)]
        ),
    )
