"""ForgetWorkflow: the order's histories go as well, and the fleet goes on with the holes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import httpx
import msgspec
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain import contract
from orderfleet.domain.contract import NOT_FORGETTABLE, ForgetResult, ForgetStep
from orderfleet.domain.orders import Address, OrderState
from orderfleet.gateways.simulated import Fault
from orderfleet.store.pool import open_pool
from orderfleet.store.simulated_ledger import balance
from orderfleet.temporal.visibility import quoted
from orderfleet_api import order_service
from orderfleet_api.app import create_app
from tests.integration.support.books import books
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.integration.support.forgetting import forget, start_forgetting
from tests.integration.support.reconciliation import reconcile
from tests.integration.support.servers import Servers

ZOE = Address("12 Königstraße", "Köln", name="Zoë Müller")
_HIDDEN = {"street": "***", "city": "***"}


@pytest.fixture
async def http(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the API in this process, with time for a change before the charge."""
    app = cast("Any", create_app(fleet.backends(review_seconds=1.5)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no order be too young to be reconciled."""
    monkeypatch.setattr("orderfleet_order_worker.reconciliation.activities._GRACE", timedelta(0))


async def _end(fleet: Fleet, order_id: str) -> OrderState:
    order = an_order(f"pay-{order_id}", ZOE)
    await order_service.accept(fleet.backends(), order_id, order)
    return (await fleet.result(order_id)).state


async def _listed(fleet: Fleet, order_id: str) -> set[str]:
    query = f"WorkflowId = {quoted(order_id)} OR WorkflowId STARTS_WITH {quoted(order_id + '/')}"
    return {found.id async for found in fleet.temporal.list_workflows(query)}


async def _is_gone(fleet: Fleet, workflow_id: str) -> bool:
    try:
        await fleet.workflow(workflow_id).fetch_history()
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    return False


async def test_a_fulfilled_order_is_forgotten_everywhere(fleet: Fleet) -> None:
    order_id = new_id()
    async with fleet.working():
        assert await _end(fleet, order_id) is OrderState.FULFILLED
        forgetting = await start_forgetting(fleet, order_id)
        assert await forgetting.result() == ForgetResult(order_id, first=True, histories=2)
        assert await forgetting.query("status", result_type=ForgetStep) is ForgetStep.DONE
    found = await books(fleet.pool, order_id)
    assert found.order["address_json"] == found.shipments[0]["address_json"] == _HIDDEN
    assert found.events[-1]["type"] == "forgotten"
    for workflow_id in (order_id, f"{order_id}/shipping/1"):
        assert await _is_gone(fleet, workflow_id)
    own = contract.forget_id(order_id)

    async def unlisted() -> bool:
        return await _listed(fleet, order_id) == {own}

    await eventually(unlisted)
    history = (await fleet.workflow(own).fetch_history()).to_json()
    assert "Zoë" not in history
    assert "nigstra" not in history


async def test_a_repeat_has_nothing_left_to_do(fleet: Fleet) -> None:
    order_id = new_id()
    async with fleet.working():
        await _end(fleet, order_id)
        await forget(fleet, order_id)
        before = await books(fleet.pool, order_id)
        assert await forget(fleet, order_id) == ForgetResult(order_id, first=False, histories=0)
    assert await books(fleet.pool, order_id) == before


async def _refusal(fleet: Fleet, order_id: str) -> ApplicationError:
    with pytest.raises(WorkflowFailureError) as raised:
        await forget(fleet, order_id)
    assert isinstance(raised.value.cause, ActivityError)
    cause = raised.value.cause.cause
    assert isinstance(cause, ApplicationError)
    return cause


async def test_an_unknown_order_fails_at_once(fleet: Fleet) -> None:
    async with fleet.order_worker():
        error = await _refusal(fleet, new_id())
    assert (error.type, error.message) == (NOT_FORGETTABLE, "there is no such order")


async def test_an_order_that_its_workflow_left_open_waits_for_reconciliation(fleet: Fleet) -> None:
    order_id = new_id()
    async with fleet.order_worker():
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.CHARGED)
        await fleet.workflow(order_id).terminate("a person did it")
        error = await _refusal(fleet, order_id)
        assert (error.type, error.message) == (NOT_FORGETTABLE, "the order has not ended")
        # Its history is the evidence that the reconciliation needs.
        assert not await _is_gone(fleet, order_id)


async def test_it_waits_for_a_refund_that_runs(fleet: Fleet) -> None:
    order_id = new_id()
    faults = (
        Fault("dispatch", "refuse", orders=order_id),
        Fault("refund", "fail_before", orders=order_id, times=3),
    )
    async with fleet.working(faults):
        assert await _end(fleet, order_id) is OrderState.FAILED
        result = await forget(fleet, order_id)
    assert result == ForgetResult(order_id, first=True, histories=5)
    found = await books(fleet.pool, order_id)
    assert [event["type"] for event in found.events[-2:]] == ["refunded", "forgotten"]
    assert [payment["status"] for payment in found.payments] == ["refunded"]
    reasons = [event["payload_json"].get("reason") for event in found.events]
    assert set(reasons) == {None, "***"}


async def test_the_runs_that_a_reset_has_left_go_too(fleet: Fleet) -> None:
    order_id = new_id()
    async with fleet.working():
        await _end(fleet, order_id)
        request = ResetWorkflowExecutionRequest(
            namespace=fleet.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=order_id),
            reason="a person tries it again",
            request_id=uuid4().hex,
            workflow_task_finish_event_id=4,
        )
        again = await fleet.temporal.workflow_service.reset_workflow_execution(request)
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
        assert await forget(fleet, order_id) == ForgetResult(order_id, first=True, histories=3)
        before = await books(fleet.pool, order_id)
        request.workflow_execution.run_id = again.run_id
        request.request_id = uuid4().hex
        with pytest.raises(RPCError):
            await fleet.temporal.workflow_service.reset_workflow_execution(request)
    assert await books(fleet.pool, order_id) == before


async def test_the_same_id_in_another_fleet_keeps_its_history(
    servers: Servers, fleet: Fleet
) -> None:
    order_id = new_id()
    async with fleet.working():
        await _end(fleet, order_id)
        async with (
            servers.database() as database,
            open_pool(database.url, size=10, wait_seconds=0) as pool,
        ):
            other = replace(
                fleet, database=database, pool=pool, gateway_pool=pool, suffix=uuid4().hex[:8]
            )
            # This fleet's own order is of long ago: Temporal has none of it any more.
            await forget(fleet, order_id)
            async with other.working():
                await _end(other, order_id)
                assert await forget(fleet, order_id) == ForgetResult(
                    order_id, first=False, histories=0
                )
    assert not await _is_gone(fleet, order_id)


async def test_the_backstop_leaves_it_alone_and_the_books_balance(fleet: Fleet) -> None:
    kept, gone = new_id(), new_id()
    async with fleet.working((Fault("charge", "refuse", orders=gone),)):
        assert await _end(fleet, kept) is OrderState.FULFILLED
        assert await _end(fleet, gone) is OrderState.FAILED
        await forget(fleet, gone)
        await forget(fleet, kept)
        before = [await books(fleet.pool, order_id) for order_id in (kept, gone)]
        summary = await reconcile(fleet)
    assert (summary.ended, summary.refunds_started, summary.failures) == (0, 0, {})
    assert [await books(fleet.pool, order_id) for order_id in (kept, gone)] == before
    assert (await balance(fleet.pool)).balanced


async def test_the_api_shows_it_and_knows_it_again(fleet: Fleet, http: httpx.AsyncClient) -> None:
    order_id = new_id()
    body = msgspec.to_builtins(an_order(f"pay-{order_id}", ZOE))
    changes = f"/orders/{order_id}/signals"
    async with fleet.working():
        assert (await http.post(f"/orders/{order_id}/start", json=body)).status_code == 202
        move = {"address": {"street": "2 Oak Rd", "city": "Shelbyville"}}
        moved = await http.post(
            f"{changes}/update-address", json=move, headers={"Idempotency-Key": "a"}
        )
        await fleet.result(order_id)
        await forget(fleet, order_id)

        status = (await http.get(f"/orders/{order_id}/status")).json()
        assert (status["source"], status["state"]) == ("record", "fulfilled")
        assert status["address"] == _HIDDEN
        shown = (await http.get(f"/orders/{order_id}")).json()
        assert shown["address"] == _HIDDEN
        assert shown["amount"] == "15.00"
        assert shown["events"][-1]["type"] == "forgotten"
        stream = await http.get(f"/orders/{order_id}/events")
        assert "event: forgotten" in stream.text
        assert "Zoë" not in stream.text
        listed = (await http.get("/orders")).json()["orders"]
        assert [order["id"] for order in listed] == [order_id]

        again = await http.post(f"/orders/{order_id}/start", json=body)
        assert (again.status_code, again.json()["state"]) == (202, "fulfilled")
        other = await http.post(f"/orders/{order_id}/start", json={**body, "currency": "EUR"})
        assert other.status_code == 409
        late = await http.post(f"{changes}/cancel", json={"reason": "Zoë asks"})
        assert (late.status_code, late.json()["detail"]) == (409, "order is forgotten")
        repeated = await http.post(
            f"{changes}/update-address", json=move, headers={"Idempotency-Key": "a"}
        )
        assert repeated.status_code == moved.status_code
    assert await _is_gone(fleet, order_id)
    assert "Zoë" not in str(await books(fleet.pool, order_id))


async def test_a_start_by_another_client_begins_nothing_anew(fleet: Fleet) -> None:
    """Temporal does not know the id any more, so it starts; but the row has its end."""
    order_id = new_id()
    async with fleet.working():
        await _end(fleet, order_id)
        await forget(fleet, order_id)
        before = await books(fleet.pool, order_id)
        order = an_order(f"pay-{order_id}", ZOE)
        await fleet.temporal.start_workflow(
            contract.ORDER_WORKFLOW,
            contract.OrderInput(**order.contents, review_seconds=0),
            id=order_id,
            task_queue=fleet.common()["order_task_queue"],
        )
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
        assert await books(fleet.pool, order_id) == before
        assert await forget(fleet, order_id) == ForgetResult(order_id, first=False, histories=1)
    assert await _is_gone(fleet, order_id)
