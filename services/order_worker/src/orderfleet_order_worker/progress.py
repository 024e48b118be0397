"""The progress of an order in its workflow: the answer to the query `status`."""

from datetime import datetime

from temporalio import workflow

from orderfleet.domain import policies, summaries
from orderfleet.domain.contract import DispatchFailed, Status, StepName, StepStatus
from orderfleet.domain.deadline import Budget
from orderfleet.domain.orders import Address, OrderState


class Progress:
    """State, step, attempts and errors of an order."""

    def __init__(self, order_id: str, address: Address, budget: Budget) -> None:
        self.state = OrderState.RECEIVED
        self.step = StepName.RECEIVE
        self.reason = ""
        self.address = address
        self.shipping_attempts = 0
        self.dispatch_failures: dict[int, str] = {}
        self.refund_started = False
        self.errors: list[str] = []
        self._order_id = order_id
        self._budget = budget
        self._steps: dict[str, StepStatus] = {}

    @property
    def retried(self) -> bool:
        """Whether an attempt of a step has failed."""
        return any(status.errors for status in self._steps.values())

    def enter(self, step: StepName, state: OrderState | None = None) -> None:
        """Begin a step."""
        self.step = step
        self.state = state or self.state
        self.show()

    def add(self, step: str, status: StepStatus) -> None:
        """Add attempts and errors to a step, which may have some already."""
        self._steps.setdefault(step, StepStatus()).add(status)
        self.add_errors(*(f"{step}: {error}" for error in status.errors))
        self.show()

    def show(self) -> None:
        """Set the workflow's current details, which Temporal's UI shows."""
        workflow.set_current_details(
            summaries.current_details(
                self.state, self.step, self._steps, shipping_attempts=self.shipping_attempts
            )
        )

    def add_errors(self, *errors: str) -> None:
        """Add errors to those that the status shows; drop the oldest."""
        self.errors.extend(errors)
        del self.errors[: -policies.MOST_ERRORS]

    def dispatch_failed(self, failed: DispatchFailed) -> bool:
        """Record a failed shipping attempt; return False if it was recorded before."""
        if failed.attempt in self.dispatch_failures:
            return False
        self.dispatch_failures[failed.attempt] = failed.reason
        for step, status in failed.steps.items():
            self.add(step, status)
        if not failed.steps:
            self.add_errors(f"shipping attempt {failed.attempt}: {failed.reason}")
        return True

    def status(self, now: datetime) -> Status:
        """Return the answer to the query."""
        left = 0.0 if self.state.ended else self._budget.left(now).total_seconds()
        return Status(
            order_id=self._order_id,
            state=self.state,
            step="" if self.state.ended else self.step,
            address=self.address,
            steps=self._steps,
            shipping_attempts=self.shipping_attempts,
            errors=self.errors,
            seconds_left=round(left, 3),
            reason=self.reason,
            refund_started=self.refund_started,
        )
