"""With payload keys, Temporal stores nothing of an order in clear; without the key, orders wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
)
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from orderfleet.domain.contract import (
    AddressChange,
    Cancel,
    OrderInput,
    Review,
    refund_id,
    shipping_id,
)
from orderfleet.domain.orders import Address, Item, Order, OrderState
from orderfleet.gateways.protocols import GatewayRefusedError, Shipment
from orderfleet.gateways.simulated import Fault, SimulatedCarrier
from orderfleet.runtime.process import Lifecycle
from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
from orderfleet.temporal.failure_converter import PayloadKeyError
from orderfleet.temporal.payload_keys import PayloadKey, PayloadKeys, make_key
from orderfleet.temporal.unversioned import UnversionedWorkflowRunner
from orderfleet_api import order_service
from orderfleet_api.schemas import APPLIED
from orderfleet_cli.doctor.check_payload_keys import check_payload_keys
from orderfleet_order_worker.reconciliation.evidence import read_evidence
from orderfleet_shipping_worker import main as shipping_main
from orderfleet_shipping_worker.activities import ShippingActivities
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id, run_order_worker
from tests.support.cli import Cli

OLD, NEW = make_key(), make_key()
CANARIES = [
    b"canary-street",
    b"canary-city",
    b"canary-name",
    b"canary-sku",
    b"canary-reason",
    b"no way there",
]


def rewrite(path: Path, *keys: PayloadKey) -> None:
    new = path.with_suffix(".new")
    new.write_text("".join(f"{key}\n" for key in keys))
    new.replace(path)


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    rewrite(path, OLD)
    return path


async def with_keys(fleet: Fleet, path: Path | None) -> Fleet:
    """Return the fleet whose processes have the keys of a file."""
    settings = CommonSettings(
        temporal_address=fleet.address, payload_keys_file=str(path) if path else ""
    )
    return replace(fleet, temporal=await connect(settings))


@pytest.fixture
async def keyed(fleet: Fleet, keys_file: Path) -> Fleet:
    return await with_keys(fleet, keys_file)


async def raw(client: Client, workflow_id: str) -> tuple[bytes, list[HistoryEvent]]:
    """Return all that Temporal has of a workflow, as it stores it."""
    execution = WorkflowExecution(workflow_id=workflow_id)
    history = await client.workflow_service.get_workflow_execution_history(
        GetWorkflowExecutionHistoryRequest(namespace=client.namespace, execution=execution)
    )
    description = await client.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=execution)
    )
    stored = history.SerializeToString() + description.SerializeToString()
    return stored, list(history.history.events)


def canary_order(order_id: str) -> Order:
    address = Address("canary-street 1", "canary-city", name="canary-name")
    return Order(payment_id=f"pay-{order_id}", address=address, items=[Item("canary-sku", 1, "2")])


class Refusing(SimulatedCarrier):
    """A carrier that says why."""

    async def dispatch(self, shipment: Shipment) -> str:
        raise GatewayRefusedError(f"no way there for {shipment.order_id}")


async def _place(fleet: Fleet, order_id: str) -> bytes:
    """Place an order with an address change and a refused package; return what Temporal stores."""
    backends = fleet.backends(review_seconds=50.0)
    await order_service.accept(backends, order_id, canary_order(order_id))
    await fleet.reached(order_id, OrderState.IN_REVIEW)
    address = Address("canary-street 2", "canary-city")
    await order_service.update_address(backends, order_id, "change", address)
    decision = Review(approved=True, reviewer="canary-name", reason="canary-reason")
    await order_service.review(backends, order_id, "review", decision)
    result = await fleet.result(order_id)
    assert result.state is OrderState.FAILED
    assert "no way there" in result.reason
    status = await order_service.status(backends, order_id)
    assert status.address == address
    assert "no way there" in str(status.errors)
    stored = [
        (await raw(fleet.temporal, workflow_id))[0]
        for workflow_id in (order_id, shipping_id(order_id, 1), refund_id(order_id))
    ]
    return b"".join(stored)


@pytest.mark.parametrize("on", [True, False])
async def test_temporal_stores_nothing_in_clear(
    fleet: Fleet, keyed: Fleet, monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    used = keyed if on else fleet
    monkeypatch.setattr("tests.integration.support.fleet.SimulatedCarrier", Refusing)
    async with used.working():
        stored = await _place(used, new_id())
    seen = [canary for canary in CANARIES if canary in stored]
    # Without keys, all of them are there: the test can see them.
    assert seen == ([] if on else CANARIES)
    assert (b"Encoded failure" in stored) == on


async def test_an_order_begun_under_an_old_key_ends_under_the_new(
    keyed: Fleet, keys_file: Path
) -> None:
    order_id = new_id()
    backends = keyed.backends(review_seconds=50.0)
    async with keyed.working():
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await keyed.reached(order_id, OrderState.IN_REVIEW)
        rewrite(keys_file, NEW, OLD)
        await asyncio.sleep(2.1)
        await order_service.review(backends, order_id, "review", Review(approved=True))
        assert (await keyed.result(order_id)).state is OrderState.FULFILLED
    stored, events = await raw(keyed.temporal, order_id)
    began = events[0].workflow_execution_started_event_attributes.input.payloads[0]
    ended = events[-1].workflow_execution_completed_event_attributes.result.payloads[0]
    key_ids = [payload.metadata["encryption-key-id"].decode() for payload in (began, ended)]
    assert key_ids == [OLD.id, NEW.id]
    assert stored


def _updates(events: list[HistoryEvent]) -> list[str]:
    return [
        event.workflow_execution_update_accepted_event_attributes.protocol_instance_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    ]


async def test_a_change_is_applied_once_by_pods_before_and_after_a_rotation(
    fleet: Fleet, keyed: Fleet, keys_file: Path, tmp_path: Path
) -> None:
    order_id, address = new_id(), Address("canary-street 2", "canary-city")
    rotated, of_workers = tmp_path / "rotated", tmp_path / "workers"
    rewrite(rotated, NEW, OLD)
    rewrite(of_workers, OLD, NEW)
    # Two pods with the old key, and one that encrypts with the new one already.
    pods = [keyed, await with_keys(fleet, keys_file), await with_keys(fleet, rotated)]
    backends = [pod.backends(review_seconds=50.0) for pod in pods]
    async with (await with_keys(fleet, of_workers)).working():
        await order_service.accept(backends[0], order_id, an_order(f"pay-{order_id}"))
        await keyed.reached(order_id, OrderState.IN_REVIEW)
        for pod in backends:
            view = await order_service.update_address(pod, order_id, "change", address)
            assert view.outcome == APPLIED
        for pod in backends:
            other = Address("canary-street 3", "canary-city")
            with pytest.raises(ProblemDetailsException, match="different change"):
                await order_service.update_address(pod, order_id, "change", other)
        ids = _updates((await raw(keyed.temporal, order_id))[1])
        await order_service.review(backends[0], order_id, "review", Review(approved=True))
        assert (await keyed.result(order_id)).state is OrderState.FULFILLED
        # The workflow has ended; the audit log decides.
        for pod in backends:
            view = await order_service.update_address(pod, order_id, "change", address)
            assert view.outcome == APPLIED
    assert (await keyed.event_types(order_id)).count("address_updated") == 1
    # The second pod's update is the first one's to Temporal.
    assert len(set(ids)) == len(ids) == 2
    plain = sha256(msgspec.json.encode(AddressChange(address, change_id="change"))).hexdigest()
    assert not [update_id for update_id in ids if update_id.endswith(plain)]


async def test_orders_go_on_when_encryption_is_turned_on(fleet: Fleet, keyed: Fleet) -> None:
    order_id = new_id()
    async with fleet.working():
        await order_service.accept(
            fleet.backends(review_seconds=50.0), order_id, an_order(f"pay-{order_id}")
        )
        await fleet.reached(order_id, OrderState.IN_REVIEW)
    async with keyed.working():
        backends = keyed.backends()
        await order_service.review(backends, order_id, "review", Review(approved=True))
        assert (await keyed.result(order_id)).state is OrderState.FULFILLED
        # A repeat is recognized by the memo, which is plain.
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))


def _failed_tasks(events: list[HistoryEvent]) -> list[str]:
    return [
        event.workflow_task_failed_event_attributes.failure.message
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]


@pytest.mark.parametrize("other_ring", [True, False])
async def test_an_order_waits_for_a_worker_with_the_key(
    fleet: Fleet, keyed: Fleet, tmp_path: Path, other_ring: bool
) -> None:
    rewrite(tmp_path / "other", NEW)
    keyless = await with_keys(fleet, tmp_path / "other" if other_ring else None)
    order_id = new_id()
    backends = keyed.backends(order_deadline_seconds=15)

    async def failed() -> bool:
        return bool(_failed_tasks((await raw(fleet.temporal, order_id))[1]))

    async with keyless.working():
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await eventually(failed)
        # The backstop takes it for nobody's order as little.
        with pytest.raises(PayloadKeyError):
            await read_evidence(keyless.temporal, order_id)
    async with keyed.working():
        assert (await keyed.result(order_id)).state is OrderState.FULFILLED
    [message, *_] = _failed_tasks((await raw(fleet.temporal, order_id))[1])
    assert message == f"the payload key '{OLD.id}' is missing here"


async def test_a_worker_without_the_key_leaves_orders_to_others(
    fleet: Fleet, keyed: Fleet, tmp_path: Path, unused_tcp_port: int
) -> None:
    path = tmp_path / "other"
    rewrite(path, NEW)
    settings = fleet.order_settings(payload_keys_file=str(path), probe_port=unused_tcp_port)
    client = await connect(settings)
    workers: list[Worker] = []

    def make(client: Client) -> Worker:
        workers.append(fleet.order_worker(client=client))
        return workers[-1]

    lifecycle = Lifecycle()
    running = asyncio.create_task(
        run_order_worker(make, client, settings, lifecycle, reconnect=partial(connect, settings))
    )
    try:
        order_ids = [new_id() for _ in range(3)]
        backends = keyed.backends(order_deadline_seconds=15)
        await order_service.accept(backends, order_ids[0], an_order(f"pay-{order_ids[0]}"))

        async def paused() -> bool:
            return not workers[0].is_running

        await eventually(paused)
        async with keyed.working():
            for order_id in order_ids[1:]:
                await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
            for order_id in order_ids:
                assert (await keyed.result(order_id)).state is OrderState.FULFILLED
        # Its file gets the key: it works at once.
        rewrite(path, OLD, NEW)
        async with keyed.shipping_worker():
            last = new_id()
            await order_service.accept(backends, last, an_order(f"pay-{last}"))
            assert (await keyed.result(last)).state is OrderState.FULFILLED
        assert len(workers) > 1
    finally:
        lifecycle.request_shutdown()
        await running


@asynccontextmanager
async def _shipping_without_activities(fleet: Fleet) -> AsyncIterator[None]:
    """Run the workflows of shipping, and leave its activities to others."""
    async with Worker(
        fleet.temporal,
        task_queue=fleet.common()["shipping_task_queue"],
        workflow_runner=UnversionedWorkflowRunner(SandboxedWorkflowRunner()),
        workflows=shipping_main.WORKFLOWS,
        activities=ShippingActivities(fleet.pool, SimulatedCarrier(fleet.pool, ())).all(),
        no_remote_activities=True,
    ):
        yield


def _shipping_activities(fleet: Fleet) -> AbstractAsyncContextManager[object]:
    activities = ShippingActivities(fleet.pool, SimulatedCarrier(fleet.pool, ())).all()
    queue = fleet.common()["shipping_task_queue"]
    return Worker(fleet.temporal, task_queue=queue, activities=activities)


async def test_attempts_without_the_key_do_not_count(fleet: Fleet, keyed: Fleet) -> None:
    order_id = new_id()
    backends = keyed.backends(order_deadline_seconds=15)

    async def used_up() -> bool:
        _, events = await raw(fleet.temporal, shipping_id(order_id, 1))
        return any(
            event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED for event in events
        )

    async with keyed.order_worker(), _shipping_without_activities(keyed):
        async with _shipping_activities(fleet):
            await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
            await keyed.reached(order_id, OrderState.SHIPPING, OrderState.DISPATCHING)
            await eventually(used_up)
        async with _shipping_activities(keyed):
            assert (await keyed.result(order_id)).state is OrderState.FULFILLED
    assert (await keyed.event_types(order_id))[-1] == "fulfilled"


async def test_the_command_line_reads_what_its_keys_decrypt(
    fleet: Fleet, keyed: Fleet, keys_file: Path, tmp_path: Path
) -> None:
    order_id = new_id()
    refuse = (Fault("charge", "refuse"),)
    async with keyed.working(refuse):
        await order_service.accept(keyed.backends(), order_id, canary_order(order_id))
        await keyed.result(order_id)
    cli = Cli(tmp_path)
    ours = {"TEMPORAL_ADDRESS": fleet.address, "ORDERFLEET_PAYLOAD_KEYS_FILE": str(keys_file)}
    clear = await cli("history", order_id, **ours)
    assert clear.status == 0
    assert "refused" in clear.out
    as_json = await cli("history", order_id, "--json", **ours)
    started = as_json.json["events"][0]["workflowExecutionStartedEventAttributes"]
    assert started["input"]["payloads"][0]["metadata"]["encoding"] == "anNvbi9wbGFpbg=="
    closed = await cli("history", order_id, TEMPORAL_ADDRESS=fleet.address)
    assert "Encoded failure" in closed.out
    assert (await cli("describe", order_id, **ours)).status == 0
    wrong = await cli("describe", order_id, **(ours | {"ORDERFLEET_PAYLOAD_KEYS_FILE": "nowhere"}))
    assert wrong.error == "ORDERFLEET_PAYLOAD_KEYS_FILE: nowhere: No such file or directory"
    assert wrong.status == 2


async def test_plain_orders_of_other_clients_are_read_or_refused(
    fleet: Fleet, keyed: Fleet, keys_file: Path
) -> None:
    settings = CommonSettings(
        temporal_address=fleet.address, payload_keys_file=str(keys_file), plain_payloads="refuse"
    )
    client = await connect(settings)
    refusing = replace(fleet, temporal=client, suffix=f"{fleet.suffix}-refuse")
    read, refused = new_id(), new_id()
    for order_id, used in ((read, keyed), (refused, refusing)):
        async with used.working():
            await fleet.temporal.start_workflow(
                "OrderWorkflow",
                OrderInput(payment_id=f"pay-{order_id}", address=Address("1 St", "City")),
                id=order_id,
                task_queue=used.common()["order_task_queue"],
            )
            if used is keyed:
                assert (await keyed.result(order_id)).state is OrderState.FULFILLED
            else:
                with pytest.raises(WorkflowFailureError) as raised:
                    await client.get_workflow_handle(order_id).result()
                assert "not encrypted" in str(raised.value.cause)


async def test_the_doctor_compares_the_keys_with_open_orders(
    fleet: Fleet, keyed: Fleet, keys_file: Path, tmp_path: Path
) -> None:
    settings = CommonSettings(**fleet.common())

    async def found(keys: PayloadKeys) -> str:
        finding = await check_payload_keys(fleet.temporal, keys, settings)
        return f"{finding.ok}: {finding.found}"

    old = PayloadKeys(keys_file)

    async def listed() -> bool:
        return "of 1 open" in await found(old)

    # No worker runs: it stays open.
    await order_service.accept(keyed.backends(), order_id := new_id(), an_order(f"pay-{order_id}"))
    await eventually(listed)
    assert (
        await found(old)
        == f"True: key {OLD.id} encrypts; the file has the keys of 1 open workflows"
    )
    rewrite(tmp_path / "new", NEW)
    assert await found(PayloadKeys(tmp_path / "new")) == (
        f"False: keys that 1 of 1 open workflows need are not in the file ({OLD.id})"
    )
    assert (await found(PayloadKeys())).startswith("False: keys that 1 of 1 open workflows need")
    await fleet.workflow(order_id).signal("CancelOrder", Cancel(change_id="plain"))
    assert await found(old) == "False: 1 of 1 open workflows have payloads in clear"
