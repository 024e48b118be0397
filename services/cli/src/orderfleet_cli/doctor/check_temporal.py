"""Checks of Temporal."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from msgspec import Struct
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest
from temporalio.client import Client

from orderfleet.domain.contract import ORDER_STATE
from orderfleet.settings import CommonSettings
from orderfleet.temporal.namespace import look_at_search_attribute, require_namespace
from orderfleet.temporal.task_queues import count_pollers, describe_task_queue
from orderfleet_cli.doctor.check_reconciliation import look_at_reconciliation
from orderfleet_cli.doctor.finding import Finding, compare_clock
from orderfleet_cli.errors import CommandError
from orderfleet_cli.settings import read
from orderfleet_cli.temporal.connection import call_temporal, open_temporal

# The server wants a second at the least, and ends the poll a second before it is over.
_POLL_TIMEOUT: Final = timedelta(seconds=2.2)
_CLOCK_QUEUE: Final = "orderfleet-doctor"


class _Question(Struct, frozen=True):
    """What to look at; the look returns whether it is well, and what it found."""

    name: str
    look: Callable[[], Awaitable[tuple[bool, str]]]
    fix: str

    async def check(self) -> Finding:
        """Look; what Temporal refuses to tell is not well."""
        try:
            ok, found = await self.look()
        except CommandError as error:
            ok, found = False, str(error)
        return Finding(self.name, ok, found, self.fix)


async def check_temporal() -> list[Finding]:
    """Check what needs Temporal."""
    settings = read(CommonSettings)
    fix = "start it, or set TEMPORAL_ADDRESS (and TEMPORAL_TLS_*, TEMPORAL_API_KEY)"
    try:
        client = await open_temporal()
    except CommandError as error:
        return [Finding("Temporal", ok=False, found=str(error), fix=fix)]
    questions = (
        _Question(
            f"namespace {client.namespace}",
            lambda: _namespace(client),
            f"temporal operator namespace create {client.namespace}, or set TEMPORAL_NAMESPACE",
        ),
        _Question(
            f"search attribute {ORDER_STATE.name}",
            lambda: call_temporal(look_at_search_attribute(client)),
            f"temporal operator search-attribute create --name {ORDER_STATE.name} --type Keyword",
        ),
        _Question(
            "order workers",
            lambda: _pollers(client, settings.order_task_queue),
            "start an order worker, or set ORDER_TASK_QUEUE as the workers have it",
        ),
        _Question(
            "shipping workers",
            lambda: _pollers(client, settings.shipping_task_queue),
            "start a shipping worker, or set SHIPPING_TASK_QUEUE as the workers have it",
        ),
        _Question(
            "ReconcileOrders",
            lambda: look_at_reconciliation(client, settings.order_task_queue),
            "start an order worker with ORDERFLEET_RECONCILE_SECONDS above 0: it makes the"
            " schedule; for runs that fail see docs/runbooks/ReconciliationFails.md",
        ),
    )
    first = Finding("Temporal", ok=True, found=f"answers at {settings.temporal_address}", fix=fix)
    others = await asyncio.gather(*(one.check() for one in questions), _clock(client))
    return [first, *others]


async def _namespace(client: Client) -> tuple[bool, str]:
    await call_temporal(require_namespace(client))
    return True, "exists"


async def _pollers(client: Client, queue: str) -> tuple[bool, str]:
    """Look whether both kinds of tasks of a queue are polled for."""
    workflows, activities = [
        count_pollers(await call_temporal(describe_task_queue(client, queue, type_)))
        for type_ in ("workflow", "activity")
    ]
    found = f"pollers of {queue}: {workflows} for workflows, {activities} for activities"
    return bool(workflows and activities), found


async def _clock(client: Client) -> Finding:
    """Compare Temporal's clock with ours.

    No answer of Temporal carries its time, but it keeps when a queue was last polled. So a queue
    that is nobody's is polled, which starts and changes nothing.
    """
    identity = f"{_CLOCK_QUEUE}-{uuid4().hex[:8]}"
    request = PollActivityTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=_CLOCK_QUEUE), identity=identity
    )
    before = datetime.now(UTC)
    try:
        poll = client.workflow_service.poll_activity_task_queue(request, timeout=_POLL_TIMEOUT)
        await call_temporal(poll)
        answer = await call_temporal(describe_task_queue(client, _CLOCK_QUEUE, "activity"))
    except CommandError as error:
        return Finding(
            "clock of Temporal", ok=False, found=str(error), fix="see what Temporal says"
        )
    after = datetime.now(UTC)
    told = [one.last_access_time for one in answer.pollers if one.identity == identity]
    if not told:
        return Finding("clock of Temporal", ok=False, found="cannot be told", fix="try again")
    return compare_clock("Temporal", told[0].ToDatetime(UTC), before, after)
