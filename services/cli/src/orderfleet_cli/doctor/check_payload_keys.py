"""Check of the payload keys: of the file here, and what the open workflows need of it."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from msgspec import Struct
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client

from orderfleet.settings import PAYLOAD_KEYS_FILE, CommonSettings
from orderfleet.temporal.decoding import payloads_of
from orderfleet.temporal.encryption import ENCODING, KEY_ID
from orderfleet.temporal.payload_keys import PayloadKeys
from orderfleet.temporal.visibility import quoted
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.errors import CommandError
from orderfleet_cli.temporal.connection import call_temporal

_NAME: Final = "payload keys"
_SAMPLE: Final = 30
_SHOWN: Final = 5


class Needs(Struct, frozen=True):
    """What an open workflow needs: the keys of its payloads; were any sent in clear?"""

    key_ids: frozenset[str] = frozenset()
    plain: bool = False


async def check_payload_keys(
    client: Client, keys: PayloadKeys, settings: CommonSettings
) -> Finding:
    """Compare the keys with the payloads of a sample of open workflows."""
    try:
        return judge(keys, await _sample(client, settings))
    except CommandError as error:
        return Finding(_NAME, ok=False, found=str(error), fix="see the message of Temporal")


def unusable_keys(reason: str) -> Finding:
    """Return the finding for a file that cannot be used."""
    return Finding(
        _NAME,
        ok=False,
        found=reason,
        fix="bring the file that the fleet has, readable for this user",
    )


def judge(keys: PayloadKeys, sample: Sequence[Needs]) -> Finding:
    """Return the worst of what is wrong with the keys, or that they are well."""
    ring = keys.ring()
    missing = Counter(
        key_id for needs in sample for key_id in needs.key_ids if key_id not in ring.by_id
    )
    of_sample = f"of {len(sample)} open workflows"
    if missing:
        count = sum(1 for needs in sample if needs.key_ids - ring.by_id.keys())
        names = ", ".join(key_id for key_id, _ in missing.most_common(_SHOWN))
        what = "are not in the file" if keys.on else f"are not here: {PAYLOAD_KEYS_FILE} is not set"
        found = f"keys that {count} {of_sample} need {what} ({names})"
        return Finding(_NAME, ok=False, found=found, fix=_fix(keys))
    if not keys.on:
        return Finding(_NAME, ok=True, found="off: Temporal stores payloads in clear")
    current = ring.current()
    plain = sum(needs.plain for needs in sample)
    if current is not None and plain:
        found = f"{plain} {of_sample} have payloads in clear"
        fix = (
            f"set {PAYLOAD_KEYS_FILE} for every client that sends them; orders from before"
            " encryption end by themselves"
        )
        return Finding(_NAME, ok=False, found=found, fix=fix)
    encrypts = "no key encrypts yet" if current is None else f"key {current.id} encrypts"
    has_all = f"; the file has the keys {of_sample}" if sample else "; no workflow is open"
    return Finding(_NAME, ok=True, found=encrypts + has_all)


def _fix(keys: PayloadKeys) -> str:
    if keys.on:
        return "add them to the file of every process: an order whose key is lost cannot go on"
    return f"set {PAYLOAD_KEYS_FILE} to the file that the fleet has"


async def _sample(client: Client, settings: CommonSettings) -> list[Needs]:
    """Look at the newest open workflows of both queues, at the start of their histories.

    Raises:
        CommandError: Temporal does not answer, or refuses.
    """
    queues = (settings.order_task_queue, settings.shipping_task_queue)
    query = " OR ".join(f"TaskQueue = {quoted(queue)}" for queue in queues)
    request = ListWorkflowExecutionsRequest(
        namespace=client.namespace,
        page_size=_SAMPLE,
        query=f"ExecutionStatus = 'Running' AND ({query})",
    )
    page = await call_temporal(client.workflow_service.list_workflow_executions(request))
    return await asyncio.gather(*(_look(client, workflow) for workflow in page.executions))


async def _look(client: Client, workflow: WorkflowExecutionInfo) -> Needs:
    request = GetWorkflowExecutionHistoryRequest(
        namespace=client.namespace, execution=workflow.execution
    )
    try:
        call = client.workflow_service.get_workflow_execution_history(request)
        events = (await call_temporal(call)).history.events
    except CommandError:
        # Forgotten meanwhile; Temporal has just answered.
        return Needs()
    stored = chain.from_iterable(map(payloads_of, events))
    sent = chain.from_iterable(map(_sent, events))
    key_ids = {_key_of(payload) for payload in stored if _is_encrypted(payload)}
    return Needs(frozenset(key_ids), not all(map(_is_encrypted, sent)))


def _sent(event: HistoryEvent) -> Iterator[Payload]:
    """Yield what a client or another workflow sent; SDK Core's own markers are plain."""
    update = event.workflow_execution_update_accepted_event_attributes.accepted_request
    yield from event.workflow_execution_started_event_attributes.input.payloads
    yield from event.workflow_execution_signaled_event_attributes.input.payloads
    yield from update.input.args.payloads


def _is_encrypted(payload: Payload) -> bool:
    return payload.metadata.get("encoding") == ENCODING


def _key_of(payload: Payload) -> str:
    return payload.metadata.get(KEY_ID, b"").decode(errors="replace")
