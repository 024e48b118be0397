"""Checks of Temporal."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Final
from uuid import uuid4

from msgspec import Struct
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest
from temporalio.client import Client

from orderfleet.domain.contract import ORDER_STATE
from orderfleet.environment import SettingsError
from orderfleet.settings import CommonSettings
from orderfleet.temporal.namespace import check_search_attribute, require_namespace
from orderfleet.temporal.payload_keys import PayloadKeys
from orderfleet.temporal.queue_workers import list_queue_workers
from orderfleet.temporal.task_queues import describe_task_queue
from orderfleet_cli.doctor.check_payload_keys import check_payload_keys, unusable_keys
from orderfleet_cli.doctor.check_reconciliation import look_at_reconciliation
from orderfleet_cli.doctor.check_versions import check_versions
from orderfleet_cli.doctor.check_workers import check_workers
from orderfleet_cli.doctor.clock_skew import compare_clock
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.errors import CommandError
from orderfleet_cli.printing import one_line
from orderfleet_cli.settings import read
from orderfleet_cli.temporal.connection import call_temporal, open_temporal

# The server refuses a poll shorter than a second, and ends it a second before the timeout.
_POLL_TIMEOUT: Final = timedelta(seconds=2.2)
_CLOCK_QUEUE: Final = "orderfleet-doctor"


class _Check(Struct, frozen=True):
    """A check; `look` returns whether the result is good, and the result in words."""

    name: str
    look: Callable[[], Awaitable[tuple[bool, str]]]
    fix: str

    async def run(self) -> Finding:
        """Return the finding; an error of Temporal is a bad one."""
        try:
            ok, found = await self.look()
        except CommandError as error:
            ok, found = False, str(error)
        return Finding(self.name, ok, found, self.fix)


async def check_temporal() -> list[Finding]:
    """Check Temporal: connection, namespace, workers, versions, reconciliation, keys, clock."""
    settings = read(CommonSettings)
    fix = "start it, or set TEMPORAL_ADDRESS (and TEMPORAL_TLS_*, TEMPORAL_API_KEY)"
    keys, unusable = PayloadKeys(), []
    try:
        keys = PayloadKeys.from_settings(settings)
    except SettingsError as error:
        unusable = [unusable_keys(one_line(str(error)))]
    try:
        client = await open_temporal(keys)
    except CommandError as error:
        return [Finding("Temporal", ok=False, found=str(error), fix=fix), *unusable]
    checks = (
        _Check(
            f"namespace {client.namespace}",
            lambda: _namespace(client),
            f"temporal operator namespace create {client.namespace}, or set TEMPORAL_NAMESPACE",
        ),
        _Check(
            f"search attribute {ORDER_STATE.name}",
            lambda: call_temporal(check_search_attribute(client)),
            f"temporal operator search-attribute create --name {ORDER_STATE.name} --type Keyword",
        ),
        _Check(
            "order workers",
            lambda: _pollers(client, settings.order_task_queue),
            "start an order worker, or set ORDER_TASK_QUEUE to the workers' queue",
        ),
        _Check(
            "shipping workers",
            lambda: _pollers(client, settings.shipping_task_queue),
            "start a shipping worker, or set SHIPPING_TASK_QUEUE to the workers' queue",
        ),
        _Check(
            "ReconcileOrders",
            lambda: look_at_reconciliation(client, settings.order_task_queue),
            "start an order worker with ORDERFLEET_RECONCILE_SECONDS above 0: it makes the"
            " schedule; for runs that fail see docs/runbooks/ReconciliationFails.md",
        ),
    )
    first = Finding("Temporal", ok=True, found=f"answers at {settings.temporal_address}", fix=fix)
    queues = (settings.order_task_queue, settings.shipping_task_queue)
    others, *workers = await asyncio.gather(
        asyncio.gather(
            *(check.run() for check in checks),
            *(check_versions(client, queue) for queue in queues),
            *([] if unusable else [check_payload_keys(client, keys, settings)]),
            _clock(client),
        ),
        *(check_workers(client, queue) for queue in queues),
    )
    return [first, *others, *unusable, *chain.from_iterable(workers)]


async def _namespace(client: Client) -> tuple[bool, str]:
    await call_temporal(require_namespace(client))
    return True, "exists"


async def _pollers(client: Client, queue: str) -> tuple[bool, str]:
    """Check that a queue has pollers for both kinds of tasks."""
    workflows, activities = [
        len((await call_temporal(list_queue_workers(client, queue, type_))).workers)
        for type_ in ("workflow", "activity")
    ]
    found = f"pollers of {queue}: {workflows} for workflows, {activities} for activities"
    return bool(workflows and activities), found


async def _clock(client: Client) -> Finding:
    """Compare Temporal's clock with this machine's.

    No response of Temporal carries its time, but Temporal keeps when a queue was last polled. So
    this polls a queue of its own that never has a task.
    """
    identity = f"{_CLOCK_QUEUE}-{uuid4().hex[:8]}"
    request = PollActivityTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=_CLOCK_QUEUE), identity=identity
    )
    before = datetime.now(UTC)
    try:
        poll = client.workflow_service.poll_activity_task_queue(request, timeout=_POLL_TIMEOUT)
        await call_temporal(poll)
        queue = await call_temporal(describe_task_queue(client, _CLOCK_QUEUE, "activity"))
    except CommandError as error:
        return Finding(
            "clock of Temporal", ok=False, found=str(error), fix="see the message of Temporal"
        )
    after = datetime.now(UTC)
    times = [poller.last_access_time for poller in queue.pollers if poller.identity == identity]
    if not times:
        return Finding("clock of Temporal", ok=False, found="unknown", fix="try again")
    return compare_clock("Temporal", times[0].ToDatetime(UTC), before, after)
