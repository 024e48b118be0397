"""The workflows, in the SDK's default sandbox."""

from datetime import timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from tests.bench.peers.common_way.activities import Activities
    from tests.bench.peers.common_way.messages import (
        SHIPPING_QUEUE,
        Address,
        OrderInput,
        ShippingInput,
    )

_POLL_SECONDS = 0.5


@workflow.defn
class OrderWorkflow:
    @workflow.init
    def __init__(self, given: OrderInput) -> None:
        self._id = given.order_id
        self._address = given.order.address
        self._state = "received"
        self._decision = ""

    @workflow.run
    async def run(self, given: OrderInput) -> str:
        await _step(Activities.receive, given)
        if await _step(Activities.validate, given):
            return await self._end("rejected")
        self._state = "in_review"
        waited = 0.0
        while not self._decision and waited < given.review_seconds:
            await workflow.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
        if self._decision == "cancel":
            return await self._end("cancelled")
        await _step(Activities.charge, self._id)
        self._state = "charged"
        if self._decision == "cancel":
            return await self._end("cancelled")
        await workflow.execute_child_workflow(
            ShippingWorkflow.run,
            ShippingInput(self._id, self._address),
            id=f"{self._id}/shipping/1",
            task_queue=SHIPPING_QUEUE,
        )
        return await self._end("fulfilled")

    @workflow.signal
    def cancel(self) -> None:
        self._decision = "cancel"

    @workflow.signal
    def approve(self) -> None:
        self._decision = self._decision or "approve"

    @workflow.signal
    def update_address(self, address: Address) -> None:
        self._address = address

    @workflow.query
    def status(self) -> str:
        return self._state

    async def _end(self, state: str) -> str:
        if state == "cancelled":
            await _step(Activities.cancel, self._id)
        self._state = state
        return state


@workflow.defn
class ShippingWorkflow:
    @workflow.run
    async def run(self, shipping: ShippingInput) -> None:
        await _step(Activities.prepare, shipping)
        await _step(Activities.dispatch, shipping)


async def _step(step: Any, argument: Any) -> Any:
    timeout = timedelta(seconds=5)
    return await workflow.execute_activity_method(step, argument, start_to_close_timeout=timeout)
