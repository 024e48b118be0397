"""Whatever is in the namespace or in the database, ReconcileOrders gets to every order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from orderfleet.domain import policies
from orderfleet.domain.contract import (
    ORDER_CLOSED,
    ORDER_WORKFLOW,
    OrderInput,
    RefundInput,
    refund_id,
)
from orderfleet.domain.orders import UNDONE_ENDS, OrderState
from orderfleet.settings import CommonSettings
from orderfleet.store.pool import Pool
from orderfleet.store.restore import restore_payment
from orderfleet.store.transitions import receive
from orderfleet.temporal.client import connect
from orderfleet_api import order_service
from orderfleet_order_worker.activities import OrderActivities
from orderfleet_order_worker.activity_types import EndInput
from orderfleet_order_worker.metrics import OrderWorkerMetrics
from orderfleet_order_worker.reconciliation import activities
from orderfleet_order_worker.reconciliation.evidence import read_evidence
from tests.integration.support.books import books, put_order, put_payment
from tests.integration.support.fleet import HOME, Fleet, an_order, eventually, new_id
from tests.integration.support.proxy import wire_to
from tests.integration.support.reconciliation import lose_commits, reconcile, reconciled
from tests.integration.support.steps import Steps

# Several pages of whatever is read by pages in these tests.
MANY = 210


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no order be too young to be reconciled; take small pages."""
    monkeypatch.setattr("orderfleet_order_worker.reconciliation.activities._GRACE", timedelta(0))
    monkeypatch.setattr("orderfleet.temporal.visibility._PAGE", 50)
    monkeypatch.setattr("orderfleet.store.reconciliation._PAGE", 50)


def _input(order_id: str) -> OrderInput:
    order = an_order(f"pay-{order_id}")
    return OrderInput(
        payment_id=order.payment_id, address=HOME, items=order.items, review_seconds=0
    )


async def _start(fleet: Fleet, workflow_id: str, *arguments: Any, **more: Any) -> None:
    await fleet.temporal.start_workflow(
        ORDER_WORKFLOW,
        args=arguments,
        id=workflow_id,
        task_queue=more.pop("task_queue", fleet.common()["order_task_queue"]),
        execution_timeout=timedelta(minutes=5),
        **more,
    )


async def _all(work: Callable[[str], Awaitable[None]], ids: Iterable[str]) -> None:
    """Do the work for many ids, some at a time."""
    some = asyncio.Semaphore(30)

    async def one(id_: str) -> None:
        async with some:
            await work(id_)

    await asyncio.gather(*(one(id_) for id_ in ids))


async def _closed(fleet: Fleet, count: int) -> None:
    """Wait until so many of the fleet's orders are told to have closed."""
    queue = fleet.common()["order_task_queue"]
    query = (
        f"TaskQueue = '{queue}' AND WorkflowType = 'OrderWorkflow' AND ExecutionStatus != 'Running'"
    )

    async def there() -> bool:
        return (await fleet.temporal.count_workflows(query)).count == count

    await eventually(there)


async def _dead(fleet: Fleet) -> str:
    """Leave a charged order behind whose workflow was terminated."""
    order_id = new_id()
    async with fleet.order_worker():
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.CHARGED)
    await fleet.workflow(order_id).terminate("a person did it")
    return order_id


def _payload(encoding: str, data: bytes) -> RawValue:
    return RawValue(Payload(metadata={"encoding": encoding.encode()}, data=data))


@pytest.mark.parametrize(
    "given",
    [
        [],
        [None],
        [b"\0"],
        [{"x": 1}],
        [_payload("binary/unheard-of", b"?")],
        [_payload("json/protobuf", b"{}")],
        [_payload("json/plain", b"\xff\xfe")],
        [_payload("json/plain", b'{"payment_id": "p", "address": {"street": "\\u0000"}}')],
        [RawValue(Payload())],
    ],
    ids=[
        *("nothing", "null", "bytes", "another type", "encoding", "protobuf", "UTF-8", "NUL"),
        "no metadata",
    ],
)
async def test_a_workflow_with_any_input_stops_nothing(fleet: Fleet, given: list[Any]) -> None:
    order_id = await _dead(fleet)
    odd = [new_id("oops"), "order:bad 1" + new_id(), "/" + new_id(), new_id() + "\n", "x" * 900]
    for workflow_id in odd:
        await _start(fleet, workflow_id, *given)
        await fleet.temporal.get_workflow_handle(workflow_id).terminate()
    await _closed(fleet, len(odd) + 1)
    async with fleet.working():
        runs = await reconciled(fleet, order_id, OrderState.FAILED, "refunded")
    assert not any(run.failures for run in runs)
    assert await fleet.pool.fetchval("SELECT count(*) FROM orders") == 1


@workflow.defn(name=ORDER_WORKFLOW, sandboxed=False)
class _Odd:
    """Completes with whatever it was told to."""

    @workflow.run
    async def run(self, _order: RawValue, result: RawValue) -> RawValue:
        return result


@pytest.mark.parametrize(
    "result",
    [
        _payload("binary/unheard-of", b"?"),
        _payload("binary/plain", b"\0"),
        _payload("json/plain", b'{"order_id": "o", "state": "charging"}'),
        RawValue(Payload()),
    ],
    ids=["encoding", "bytes", "no end", "no metadata"],
)
async def test_a_result_that_says_nothing_is_no_evidence(fleet: Fleet, result: RawValue) -> None:
    order_id, other = new_id(), await _dead(fleet)
    queue = fleet.common()["order_task_queue"]
    async with Worker(fleet.temporal, task_queue=queue, workflows=[_Odd]):
        await _start(fleet, order_id, _input(order_id), result)
        await _closed(fleet, 2)
    async with fleet.working():
        await reconciled(fleet, other, OrderState.FAILED, "refunded")
        await reconciled(fleet, order_id, OrderState.FAILED, None)


async def test_what_fails_for_one_order_is_told_and_the_others_are_reconciled(
    fleet: Fleet, owner: Pool
) -> None:
    """Postgres refuses one order's end and another one's row, Temporal a third one's refund."""
    refused, unwritten, ok = await _dead(fleet), new_id(), await _dead(fleet)
    await _start(fleet, unwritten, _input(unwritten))
    await fleet.workflow(unwritten).terminate("before any worker came")
    await _closed(fleet, 3)
    endless = "x" * 2000
    await put_order(owner, endless, OrderState.FAILED)
    await put_payment(owner, endless, "captured")
    await owner.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'out of bounds'; END $$"
    )
    for order_id, operation in ((refused, "UPDATE"), (unwritten, "INSERT")):
        await owner.execute(
            f"CREATE TRIGGER refuse_{operation} BEFORE {operation} ON orders FOR EACH ROW"
            f" WHEN (NEW.id = '{order_id}') EXECUTE FUNCTION refuse()"
        )
    registry = CollectorRegistry()
    metrics = OrderWorkerMetrics(registry)
    with capture_logs() as logs:
        summary = await reconcile(fleet, metrics)
    assert await fleet.state(ok) is OrderState.FAILED
    assert summary.failures == {"open": 1, "refunds": 1, "rowless": 1}
    for phase, order_id in (("open", refused), ("refunds", endless), ("rowless", unwritten)):
        assert any(f"{phase}: {order_id}"[:100] in one[:100] for one in summary.errors)
        assert [one["order_id"] for one in logs if one.get("phase") == phase] == [order_id]
        labels = {"phase": phase}
        assert registry.get_sample_value("orderfleet_reconciliation_failures_total", labels) == 1
    for outcome, count in (("failed", 1), ("completed", 0)):
        labels = {"outcome": outcome}
        assert registry.get_sample_value("orderfleet_reconciliation_runs_total", labels) == count
    # As soon as nothing is in the way, they are reconciled too.
    await owner.execute("DROP FUNCTION refuse CASCADE")
    await owner.execute("DELETE FROM payments WHERE order_id = $1", endless)
    assert not (await reconcile(fleet)).failures
    assert await fleet.state(refused) is OrderState.FAILED
    assert await fleet.state(unwritten) is OrderState.FAILED


async def test_every_page_of_closed_workflows_without_a_row_is_adopted(fleet: Fleet) -> None:
    ids = [new_id() for _ in range(MANY)]

    async def closed(order_id: str) -> None:
        await _start(fleet, order_id, _input(order_id))
        await fleet.workflow(order_id).terminate("before any worker came")

    await _all(closed, ids)
    await _closed(fleet, MANY)
    ended = 0
    while (now := (await reconcile(fleet)).ended) > 0:
        ended += now
    rows = await fleet.pool.fetch("SELECT id, state FROM orders")
    assert {row["id"]: row["state"] for row in rows} == dict.fromkeys(ids, "failed")
    assert ended == MANY


async def test_long_orders_do_not_hide_dead_ones_and_are_not_looked_at(
    fleet: Fleet, owner: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before the others come, as a worker runs for them.
    dead = [await _dead(fleet) for _ in range(3)]
    await owner.execute("UPDATE orders SET created_at = now() + '1 minute'::interval")
    monkeypatch.setattr(activities, "_GRACE", timedelta(minutes=-2))
    long = [new_id("long") for _ in range(MANY)]

    async def reviewed(order_id: str) -> None:
        await _start(fleet, order_id, _input(order_id))
        assert await receive(owner, order_id, _input(order_id), {})

    await _all(reviewed, long)
    looked_at = []

    async def looked(client: Client, order_id: str) -> Any:
        looked_at.append(order_id)
        return await read_evidence(client, order_id)

    monkeypatch.setattr(activities, "read_evidence", looked)
    queue = fleet.common()["order_task_queue"]

    async def listed() -> bool:
        query = f"TaskQueue = '{queue}' AND ExecutionStatus = 'Running'"
        return (await fleet.temporal.count_workflows(query)).count == MANY

    await eventually(listed)
    summary = await reconcile(fleet)
    assert (summary.ended, summary.refunds_started) == (3, 3)
    assert set(looked_at) == set(dead)
    await _all(lambda order_id: fleet.workflow(order_id).terminate(), long)


async def test_a_refund_waits_for_no_open_order(
    fleet: Fleet, owner: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The histories of the open orders hang; the refund of an ended one starts all the same."""
    monkeypatch.setattr("orderfleet.domain.policies.RECONCILE_PHASE", timedelta(seconds=2))

    async def hangs(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(activities, "read_evidence", hangs)
    await put_order(owner, new_id(), OrderState.CHARGED)
    owed = new_id()
    await put_order(owner, owed, OrderState.CANCELLED)
    await put_payment(owner, owed, "captured")
    summary = await reconcile(fleet)
    assert summary.refunds_started == 1
    assert summary.failures.keys() == {"open"}


async def test_events_after_the_end_do_not_put_a_refund_off(
    fleet: Fleet, owner: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel that is repeated and refused renews the row's time, again and again."""
    monkeypatch.setattr(activities, "_GRACE", timedelta(seconds=60))
    late, fresh = new_id(), new_id()
    for order_id, age in ((late, 61), (fresh, 30)):
        await put_order(owner, order_id, OrderState.CANCELLED)
        await put_payment(owner, order_id, "captured")
        await owner.execute(
            "INSERT INTO events (order_id, number, type, payload_json, event_key, ts)"
            " VALUES ($1, 2, 'cancelled', '{}', 'c', now() - make_interval(secs => $2))",
            order_id,
            age,
        )
        await owner.execute("UPDATE orders SET updated_at = now() WHERE id = $1", order_id)
    assert (await reconcile(fleet)).refunds_started == 1
    refund = fleet.temporal.get_workflow_handle(refund_id(late))
    assert (await refund.describe()).task_queue == fleet.common()["order_task_queue"]


async def test_a_run_without_temporal_is_over_soon(
    fleet: Fleet, owner: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderfleet.domain.policies.RECONCILE_PHASE", timedelta(seconds=1))
    await put_order(owner, new_id(), OrderState.CHARGED)
    async with wire_to(int(fleet.address.rsplit(":", 1)[1])) as wire:
        client = await connect(CommonSettings(temporal_address=f"127.0.0.1:{wire.port}"))
        await wire.cut()
        async with asyncio.timeout(policies.RECONCILE_STEP.total_seconds()):
            summary = await reconcile(replace(fleet, temporal=client))
    assert summary.failures.keys() == {"open", "rowless"}


@pytest.mark.parametrize("state", [OrderState.CHARGING, OrderState.CHARGED])
async def test_no_gateway_is_called_for_a_payment_without_a_row(
    pool: Pool, owner: Pool, state: OrderState
) -> None:
    order_id = new_id()
    await put_order(owner, order_id, state)
    charge = Steps(pool, order_id).charge()
    if state is OrderState.CHARGING:
        with pytest.raises(ApplicationError) as raised:
            await charge(pool, 1)
        assert raised.value.type == ORDER_CLOSED
    else:
        await charge(pool, 1)
    assert not (await books(pool, order_id)).charges


async def test_an_order_that_lost_its_payment_row_gets_it_back_at_its_end(
    pool: Pool, owner: Pool
) -> None:
    order_id = new_id()
    steps = Steps(pool, order_id)
    for step in (steps.receive(), steps.validate(), steps.charge()):
        await step(pool, 1)
    await lose_commits(owner, order_id, 2)
    orders_ = OrderActivities(pool, steps.gateway, shipping_task_queue="shipping")
    run = ActivityEnvironment().run
    uncharged = await run(orders_.end, EndInput(order_id, OrderState.FAILED, "why"))
    assert uncharged.undo is False
    charged = await run(orders_.end, EndInput(order_id, OrderState.FAILED, "why", charged=True))
    assert charged.undo is True
    assert await steps.refund()(pool, 1) == "refunded"
    found = await books(pool, order_id)
    assert [one["status"] for one in found.charges] == ["refunded"]
    assert [one["type"] for one in found.events][-3:] == ["failed", "charging", "refunded"]


async def test_a_payment_of_another_order_is_not_restored(pool: Pool, owner: Pool) -> None:
    for order_id in ("payer", "other"):
        await put_order(owner, order_id, OrderState.FAILED)
    await put_payment(owner, "payer", "captured")
    await owner.execute("UPDATE orders SET payment_id = 'pay-payer' WHERE id = 'other'")
    before = await books(pool, "other")
    assert await restore_payment(pool, "other", {}) is False
    assert await books(pool, "other") == before


@pytest.mark.parametrize("state", [state for state in OrderState if state not in UNDONE_ENDS])
def test_no_end_is_written_that_is_not_undone(state: OrderState) -> None:
    for make in (
        lambda: EndInput("o", state, "why"),
        lambda: RefundInput(order_id="o", payment_id="p", state=state),
    ):
        with pytest.raises(ValueError, match=f"{state} is not undone"):
            make()
