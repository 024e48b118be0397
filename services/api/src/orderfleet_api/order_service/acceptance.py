"""Accept an order: look it up, start its workflow, write its row."""

from datetime import timedelta

import structlog
from asyncpg import PostgresError
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from orderfleet.domain import contract, policies, priorities, summaries
from orderfleet.domain.contract import OrderInput
from orderfleet.domain.orders import Order, OrderState
from orderfleet.store import queries
from orderfleet.store.pool import UNAVAILABLE
from orderfleet.store.transitions import receive
from orderfleet_api import errors
from orderfleet_api.backends import Backends, postgres
from orderfleet_api.order_service import workflow_lookup
from orderfleet_api.schemas import Accepted

log = structlog.stdlib.get_logger(__name__)


async def accept(
    backends: Backends, order_id: str, order: Order, *, actor: str = "", background: bool = False
) -> Accepted:
    """Accept an order; a repeat of the same order is accepted again, and changes nothing.

    The workflow's start is the acceptance. Without Postgres nothing is started. If only the row
    cannot be written after the start, the workflow's first step writes it.

    Raises:
        ProblemDetailsException: the id or the payment id belongs to another order, the fleet is too
            busy to end the order in time, or Postgres or Temporal is unavailable.
    """
    admission = backends.admission
    with admission.counting_outages(actor), postgres():
        existing = await _find_existing(backends, order_id, order.payment_id)
    if existing.state is not None:
        return _repeat(order, existing.fingerprint, Accepted(order_id, existing.state))
    if existing.payer is not None:
        raise errors.conflict(f"Payment {order.payment_id} belongs to another order.")
    try:
        async with admission.place(order_id, actor, backends.temporal, background=background):
            await backends.start_workflow(
                _start(backends, order_id, order, actor, background=background)
            )
    except WorkflowAlreadyStartedError:
        fingerprint = await workflow_lookup.fingerprint(backends, order_id)
        return _repeat(order, fingerprint, Accepted(order_id, OrderState.RECEIVED))
    await _write_row(backends, order_id, order, actor)
    return Accepted(order_id, OrderState.RECEIVED)


async def _find_existing(
    backends: Backends, order_id: str, payment_id: str
) -> queries.ExistingOrder:
    """Return what exists of the order, after a comparison with Temporal if rows may be lost.

    Raises:
        UNAVAILABLE: Postgres is unavailable, or fails over once more.
        ProblemDetailsException: Temporal is busy or unavailable, or the comparison goes on.
    """
    existing = await queries.find_existing(backends.pool, order_id, payment_id)
    if existing.server is None or not existing.may_be_lost:
        return existing
    await backends.call_temporal(
        backends.lost_orders.restore(
            backends.pool, backends.temporal, backends.settings.order_task_queue, existing.server
        )
    )
    existing = await queries.find_existing(backends.pool, order_id, payment_id)
    if existing.may_be_lost:
        raise ConnectionError("another server has taken over meanwhile")
    return existing


async def _start(
    backends: Backends, order_id: str, order: Order, actor: str, *, background: bool
) -> None:
    settings = backends.settings
    accepted = OrderInput(
        **order.contents,
        deadline_seconds=settings.order_deadline_seconds,
        review_seconds=settings.review_seconds,
        actor=actor,
    )
    await backends.temporal.start_workflow(
        contract.ORDER_WORKFLOW,
        accepted,
        id=order_id,
        task_queue=settings.order_task_queue,
        execution_timeout=timedelta(seconds=settings.order_deadline_seconds),
        task_timeout=policies.TASK_TIMEOUT,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        priority=priorities.of_order(actor, background=background),
        memo=workflow_lookup.memo(order.fingerprint),
        static_summary=summaries.order_summary(order),
        static_details=summaries.order_details(accepted),
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(contract.ORDER_STATE, contract.OPEN)]
        ),
    )


async def _write_row(backends: Backends, order_id: str, order: Order, actor: str) -> None:
    """Write the row of an accepted order; it stays accepted if Postgres cannot or will not."""
    try:
        await receive(backends.pool, order_id, order, {"actor": actor} if actor else {})
    except UNAVAILABLE as error:
        log.warning("accepted without a row", order_id=order_id, error=str(error))
    except PostgresError as error:
        # No outage: a bug, or a schema that does not fit. No traceback: the DETAIL of Postgres
        # quotes the row with its address.
        reason = f"{type(error).__name__}: {error.args[0]}"
        log.error("accepted without a row", order_id=order_id, error=reason)  # noqa: TRY400


def _repeat(order: Order, fingerprint: str | None, accepted: Accepted) -> Accepted:
    if fingerprint != order.fingerprint:
        raise errors.conflict(f"Order {accepted.order_id} already exists with other contents.")
    return accepted
