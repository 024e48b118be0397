"""A namespace has workflows that are no orders of this fleet: the API leaves them alone."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import httpx
import msgspec
import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RawValue
from temporalio.converter import DataConverter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from orderfleet.domain import contract
from orderfleet.domain.contract import OrderInput
from orderfleet.store.pool import Pool
from orderfleet.temporal.converter import make_data_converter
from orderfleet_api.app import create_app
from tests.integration.support.fleet import HOME, Fleet, an_order, new_id

Json = dict[str, Any]
_BODY: Json = {"address": {"street": HOME.street, "city": HOME.city}}
# Decoded by no type of this fleet.
_ODD: list[Any] = [None, 7, "status", {}, [], {"order_id": "x", "state": "flying"}, b"\x00\xff"]
_CHANGES: list[tuple[str, Json]] = [
    ("signals/cancel", {"reason": "mine"}),
    ("signals/update-address", {"address": {"street": "2 Elm St", "city": "Town"}}),
    ("review", {"approved": True}),
]


@workflow.defn(name="Somebody")
class Somebody:
    """Answers to all that an order answers to, and remembers whether it was asked."""

    def __init__(self) -> None:
        self.touched: list[str] = []

    @workflow.run
    async def run(self, answer: Any) -> list[str]:
        self.answer = answer
        await workflow.wait_condition(lambda: False)
        return self.touched

    @workflow.query(name=contract.STATUS_QUERY)
    def status(self) -> Any:
        return self.answer

    @workflow.query
    def asked(self) -> list[str]:
        return self.touched

    @workflow.signal(dynamic=True)
    def any_signal(self, name: str, _arguments: Sequence[RawValue]) -> None:
        self.touched.append(name)

    @workflow.update(dynamic=True)
    def any_update(self, name: str, _arguments: Sequence[RawValue]) -> Any:
        self.touched.append(name)
        return {"change_id": "x", "state": "cancelled"}


@workflow.defn(name=contract.ORDER_WORKFLOW)
class SomebodysOrder(Somebody):
    """An order of another fleet, or of another build of this one."""

    @workflow.run
    async def run(self, answer: Any) -> list[str]:
        return await super().run(answer)


@pytest.fixture
async def elsewhere(fleet: Fleet) -> AsyncIterator[Callable[..., Any]]:
    """Start workflows by clients and on workers that know nothing of this fleet."""
    client = await Client.connect(fleet.address, data_converter=DataConverter.default)
    own_queue = fleet.backends().settings.order_task_queue
    queues = {"own": own_queue, "other": f"other-{fleet.suffix}"}
    started: list[WorkflowHandle[Any, Any]] = []

    async def start(type_: str, order_id: str, queue: str, answer: Any = None, **more: Any) -> Any:
        handle: WorkflowHandle[Any, Any] = await client.start_workflow(
            type_, answer, id=order_id, task_queue=queues[queue], **more
        )
        started.append(handle)
        return handle

    workers = [
        Worker(
            client,
            task_queue=queue,
            workflows=[Somebody, SomebodysOrder],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        for queue in queues.values()
    ]
    async with workers[0], workers[1]:
        yield start
        for handle in started:
            await handle.terminate()


async def _refused_everywhere(http: httpx.AsyncClient, order_id: str) -> None:
    for path in ("", "/status", "/events"):
        answer = await http.get(f"/orders/{order_id}{path}")
        assert answer.status_code == 404, (path, answer.text)
    for path, body in _CHANGES:
        answer = await http.post(f"/orders/{order_id}/{path}", json=body)
        assert answer.status_code == 404, (path, answer.text)
    body = {"payment_id": f"pay-{order_id}", **_BODY}
    answer = await http.post(f"/orders/{order_id}/start", json=body)
    assert answer.status_code == 409, answer.text


@pytest.mark.parametrize(
    ("type_", "queue"), [("Somebody", "own"), ("Somebody", "other"), ("OrderWorkflow", "other")]
)
@pytest.mark.parametrize("answer", [_ODD[0], _ODD[5], _ODD[6]], ids=["nothing", "odd", "bytes"])
async def test_what_is_no_order_of_this_fleet_is_not_found(
    http: httpx.AsyncClient, elsewhere: Callable[..., Any], type_: str, queue: str, answer: Any
) -> None:
    order_id = new_id("foreign")
    handle = await elsewhere(type_, order_id, queue, answer)
    await _refused_everywhere(http, order_id)
    assert await handle.query("asked") == []


async def test_a_row_of_ours_does_not_make_a_foreign_workflow_ours(
    http: httpx.AsyncClient, fleet: Fleet, elsewhere: Callable[..., Any]
) -> None:
    """Temporal forgets an order after its retention, and anybody may use its id then."""
    order_id = new_id("forgotten")
    body = {"payment_id": f"pay-{order_id}", **_BODY}
    assert (await http.post(f"/orders/{order_id}/start", json=body)).status_code == 202
    await fleet.workflow(order_id).terminate()
    handle = await elsewhere("Somebody", order_id, "own", {"order_id": "x"})
    status = (await http.get(f"/orders/{order_id}/status")).json()
    assert (status["source"], status["order_id"]) == ("record", order_id)
    for path, change in _CHANGES:
        answer = await http.post(f"/orders/{order_id}/{path}", json=change)
        assert answer.status_code == 409, answer.text
    assert await handle.query("asked") == []


@pytest.mark.parametrize("answer", _ODD, ids=repr)
async def test_an_answer_that_cannot_be_read_is_none(
    http: httpx.AsyncClient, elsewhere: Callable[..., Any], answer: Any
) -> None:
    order_id = new_id("odd")
    await elsewhere(contract.ORDER_WORKFLOW, order_id, "own", answer)
    status = await http.get(f"/orders/{order_id}/status")
    assert status.status_code == 200, status.text
    assert status.json()["source"] == "record"


@pytest.mark.parametrize(
    "memo",
    [
        None,
        {},
        {"fingerprint": 7},
        {"fingerprint": None},
        {"fingerprint": b"\x00\xff"},
        {"fingerprint": {"a": 1}},
        {"fingerprint": RawValue(Payload(metadata={"encoding": b"odd/one"}, data=b"x"))},
        {"other": RawValue(Payload(metadata={}, data=b"x")), "fingerprint": "other"},
    ],
    ids=repr,
)
async def test_an_order_started_by_hand_is_another_one(
    http: httpx.AsyncClient, fleet: Fleet, elsewhere: Callable[..., Any], memo: Json | None
) -> None:
    order_id = new_id("by-hand")
    more: Json = {} if memo is None else {"memo": memo}
    await elsewhere(contract.ORDER_WORKFLOW, order_id, "own", **more)
    body = {"payment_id": f"pay-{order_id}", **_BODY}
    answer = await http.post(f"/orders/{order_id}/start", json=body)
    assert answer.status_code == 409, answer.text
    assert await fleet.state(order_id) is None
    assert (await http.get(f"/orders/{order_id}/status")).status_code == 200


async def test_an_order_whose_row_is_not_there_yet_is_one(
    http: httpx.AsyncClient, fleet: Fleet, pool: Pool
) -> None:
    order_id = new_id("rowless")
    order = an_order(f"pay-{order_id}")
    handle = await fleet.temporal.start_workflow(
        contract.ORDER_WORKFLOW,
        OrderInput(payment_id=order.payment_id, address=order.address),
        id=order_id,
        task_queue=fleet.backends().settings.order_task_queue,
        execution_timeout=timedelta(minutes=2),
    )
    try:
        assert await fleet.state(order_id) is None
        status = (await http.get(f"/orders/{order_id}/status")).json()
        assert (status["source"], status["state"]) == ("record", "received")
        async with fleet.working():
            cancelled = await http.post(f"/orders/{order_id}/signals/cancel")
            assert cancelled.status_code == 200, cancelled.text
            assert (await fleet.result(order_id)).state == "cancelled"
    finally:
        if (await handle.describe()).close_time is None:
            await handle.terminate()


async def test_an_order_begun_on_the_queue_of_before_is_still_ours(
    http: httpx.AsyncClient, fleet: Fleet, elsewhere: Callable[..., Any], pool: Pool
) -> None:
    order_id = new_id("moved")
    body = {"payment_id": f"pay-{order_id}", **_BODY}
    assert (await http.post(f"/orders/{order_id}/start", json=body)).status_code == 202
    await fleet.workflow(order_id).terminate()
    handle = await elsewhere(contract.ORDER_WORKFLOW, order_id, "other")
    answer = await http.post(f"/orders/{order_id}/signals/cancel")
    assert answer.status_code == 200, answer.text
    assert await handle.query("asked") == [contract.CANCEL_UPDATE]


async def test_a_missing_namespace_is_no_missing_order(
    http: httpx.AsyncClient, fleet: Fleet
) -> None:
    order_id = new_id()
    order = {"payment_id": f"pay-{order_id}", **_BODY}
    assert (await http.post(f"/orders/{order_id}/start", json=order)).status_code == 202
    nowhere = Client(
        fleet.temporal.service_client, namespace="nowhere", data_converter=make_data_converter()
    )
    backends = msgspec.structs.replace(fleet.backends(), temporal=nowhere)
    # Litestar types its messages more narrowly than httpx does.
    transport = httpx.ASGITransport(cast("Any", create_app(backends)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as lost:
        other = {**order, "payment_id": f"other-{order_id}"}
        answers = [await lost.post(f"/orders/{new_id()}/start", json=other)]
        answers.append(await lost.get(f"/orders/{new_id()}/status"))
        for path, body in _CHANGES:
            answers.append(await lost.post(f"/orders/{order_id}/{path}", json=body))
    assert [answer.status_code for answer in answers] == [503] * 5
