"""One order: its script, the messages sent to it, and how it came out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from msgspec import Struct
from temporalio.api.enums.v1 import EventType
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, UnlockTimeSkippingRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.testing import WorkflowEnvironment

from orderfleet.domain import contract, policies
from orderfleet.domain.contract import (
    AddressChange,
    Cancel,
    ChangeResult,
    OrderInput,
    OrderResult,
    RefundResult,
    Status,
)
from orderfleet.domain.orders import Address, OrderState
from orderfleet.gateways.protocols import ChargeStatus
from tests.workflow.actions import Action
from tests.workflow.world import Row, World

ORDER_STATE = SearchAttributeKey.for_keyword("OrderState")
HOME = Address(street="1 Main Street", city="Springfield")
# Far above what anything here takes, so that a hang fails the test and not the whole run.
PATIENCE = 20.0

T = TypeVar("T")


async def poll(look: Callable[[], Awaitable[T | None]], patience: float = PATIENCE) -> T:
    """Return what is found as soon as it is there."""
    async with asyncio.timeout(patience):
        while True:
            if (found := await look()) is not None:
                return found
            await asyncio.sleep(0.01)


async def closed(
    handle: WorkflowHandle[Any, Any], patience: float = PATIENCE
) -> WorkflowExecutionStatus:
    """Wait until a workflow has closed, and tell how."""

    async def look() -> WorkflowExecutionStatus | None:
        status = (await handle.describe()).status
        return None if status is WorkflowExecutionStatus.RUNNING else status

    return await poll(look, patience)


@asynccontextmanager
async def skipping_time(environment: WorkflowEnvironment) -> AsyncIterator[None]:
    """Let time skip to the next timer while no activity runs; outside of it time is real."""
    if not environment.supports_time_skipping:
        yield
        return
    service = environment.client.test_service
    await service.unlock_time_skipping(UnlockTimeSkippingRequest())
    try:
        yield
    finally:
        await service.lock_time_skipping(LockTimeSkippingRequest())


class End(Struct):
    """How an order came out, with its refund if it had one."""

    result: OrderResult
    status: Status
    row: Row | None
    seconds: float
    searched: str
    refund: RefundResult | None


class Case:
    """One order: its script, the messages sent to it, and its end."""

    def __init__(
        self, environment: WorkflowEnvironment, world: World, order_id: str, order: OrderInput
    ) -> None:
        self.id = order_id
        self.order = order
        self.world = world
        self._environment = environment
        self._client = environment.client
        self.handle: WorkflowHandle[Any, OrderResult] = self._client.get_workflow_handle(
            order_id, result_type=OrderResult
        )

    @property
    def row(self) -> Row:
        return self.world.rows[self.id]

    @property
    def events(self) -> list[str]:
        return [event.type for event in self.row.events]

    @property
    def calls(self) -> list[str]:
        return self.world.calls[self.id]

    def script(self, name: str, *actions: Action) -> None:
        self.world.script(self.id, name, actions)

    async def start(self, *, signal: str = "", given: object = None) -> None:
        """Start it as the API does; with `signal`, one that is there before the first task."""
        await self._client.start_workflow(
            contract.ORDER_WORKFLOW,
            self.order,
            id=self.id,
            task_queue=contract.ORDER_TASK_QUEUE,
            execution_timeout=timedelta(seconds=self.order.deadline_seconds),
            task_timeout=policies.TASK_TIMEOUT,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(ORDER_STATE, contract.OPEN)]
            ),
            start_signal=signal or None,
            start_signal_args=[] if given is None else [given],
        )

    async def send_cancel(self, change_id: str | None = None, reason: str = "") -> None:
        change = Cancel(change_id=change_id, reason=reason)
        await self.handle.signal(contract.CANCEL_SIGNAL, change)

    async def send_address(self, street: str, change_id: str | None = None) -> None:
        change = AddressChange(Address(street=street, city="Springfield"), change_id=change_id)
        await self.handle.signal(contract.ADDRESS_SIGNAL, change)

    async def update(self, name: str, change: object) -> ChangeResult:
        async with asyncio.timeout(PATIENCE):
            result: ChangeResult = await self.handle.execute_update(
                name, change, result_type=ChangeResult
            )
            return result

    async def status(self) -> Status:
        async with asyncio.timeout(PATIENCE):
            found: Status = await self.handle.query(contract.STATUS_QUERY, result_type=Status)
            return found

    async def until(self, holds: Callable[[Status], bool]) -> Status:
        """Wait until the live view says so; time does not skip meanwhile."""

        async def look() -> Status | None:
            status = await self.status()
            return status if holds(status) else None

        return await poll(look)

    async def waits_for(self, holds: Callable[[], bool]) -> None:
        """Wait until the model of the store says so."""

        async def look() -> bool | None:
            return holds() or None

        await poll(look)

    async def child_closed(self, attempt: int) -> WorkflowExecutionStatus:
        """Wait until a shipping attempt has closed, and tell how."""
        child = self._client.get_workflow_handle(contract.shipping_id(self.id, attempt))
        return await closed(child)

    async def until_step(self, step: str) -> Status:
        return await self.until(lambda status: status.step == step)

    async def end(self) -> End:
        """Let time skip until the order and its refund have ended, and check the money."""
        try:
            return await self._end()
        except TimeoutError:
            pytest.fail(f"no end: {self.calls}, {await self.history()}")

    async def _end(self) -> End:
        async with asyncio.timeout(PATIENCE), skipping_time(self._environment):
            result = await self.handle.result()
            status = await self.status()
            refund = None
            if status.refund_started:
                undo = self._client.get_workflow_handle(
                    contract.refund_id(self.id), result_type=RefundResult
                )
                refund = await undo.result()
            described = await self.handle.describe()
        if described.close_time is None:
            raise ValueError("no close time")
        searched = described.typed_search_attributes[ORDER_STATE]
        seconds = (described.close_time - described.start_time).total_seconds()
        row = self.world.rows.get(self.id)
        if row is not None and row.state.ended:
            self.check_money(row)
        return End(result, status, row, seconds, searched, refund)

    def check_money(self, row: Row) -> None:
        """Paid and shipped once, or neither."""
        payment_id = row.order.payment_id
        captured = self.world.ledger.get(payment_id) is ChargeStatus.CAPTURED
        paid = captured and self.world.payers.get(payment_id) == self.id
        fulfilled = row.state is OrderState.FULFILLED
        assert paid is fulfilled
        assert len(self.world.shipped(self.id)) == (1 if fulfilled else 0)
        keys = [event.key for event in row.events]
        assert len(keys) == len(set(keys))

    async def history(self) -> list[str]:
        """Return the types of the events in Temporal's history."""
        return [
            EventType.Name(event.event_type) async for event in self.handle.fetch_history_events()
        ]
