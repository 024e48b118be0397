"""Order workflows that today's could turn into by mistake, to show that a replay finds it out."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain import contract
    from orderfleet.domain.contract import OrderResult, Review, ShippingResult
    from orderfleet.domain.orders import OrderState
    from orderfleet.temporal.steps import OnQueue
from orderfleet_order_worker.workflow import OrderWorkflow


@workflow.defn(name=contract.ORDER_WORKFLOW)
class Unchanged(OrderWorkflow):
    """No mutant: it shows that the others fail for their changes alone."""

    @workflow.init
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)

    @workflow.run
    async def run(self, *arguments: Any) -> OrderResult:
        return await super().run(*arguments)


@workflow.defn(name=contract.ORDER_WORKFLOW)
class Reordered(Unchanged):
    """Charges before the review."""

    @workflow.init
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)

    @workflow.run
    async def run(self, *arguments: Any) -> OrderResult:
        return await super().run(*arguments)

    async def _fulfil(self) -> OrderState:
        await self._receive()
        await self._validate()
        self._changes.decision = Review(approved=True)
        await self._charge()
        self._changes.decision = None
        await self._review()
        return await self._ship()


@workflow.defn(name=contract.ORDER_WORKFLOW)
class Unreviewed(Unchanged):
    """Has no review and its timer."""

    @workflow.init
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)

    @workflow.run
    async def run(self, *arguments: Any) -> OrderResult:
        return await super().run(*arguments)

    async def _review(self) -> None:
        self._changes.decision = Review(approved=True)


@workflow.defn(name=contract.ORDER_WORKFLOW)
class Queued(Unchanged):
    """Runs its first steps on the task queue."""

    @workflow.init
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)

    @workflow.run
    async def run(self, *arguments: Any) -> OrderResult:
        return await super().run(*arguments)

    async def _step(self, *arguments: Any, **options: Any) -> Any:
        return await super()._step(*arguments, **{"on_queue": OnQueue()} | options)


@workflow.defn(name=contract.ORDER_WORKFLOW)
class Unwatched(Unchanged):
    """Has no timer beside its child's."""

    @workflow.init
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)

    @workflow.run
    async def run(self, *arguments: Any) -> OrderResult:
        return await super().run(*arguments)

    async def _ship_in_time(self, attempt: int) -> ShippingResult:
        return await self._start_shipping(attempt)
