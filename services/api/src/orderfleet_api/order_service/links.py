"""Where else an order can be seen: Temporal's UI, and its trace."""

import re
from typing import Any, Final
from urllib.parse import quote

from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from orderfleet.observability.otel.trace_headers import carrier_of
from orderfleet_api.backends import Backends
from orderfleet_api.order_service import records, workflow_lookup
from orderfleet_api.schemas import OrderLinks

_TRACE_ID: Final = "{trace_id}"
# W3C's header, in which the start of a workflow carries the trace of its request. Its last digit is
# odd if the trace is sampled, so that there is something to show.
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f][13579bdf]")


async def links(backends: Backends, order_id: str) -> OrderLinks:
    """Return the addresses that the settings have for this order.

    Raises:
        ProblemDetailsException: there is no such order, or a backend is busy or unavailable.
    """
    workflow = await workflow_lookup.find(backends, order_id)
    if workflow is None:
        # Forgotten, or older than Temporal's retention, unless there never was one.
        await records.find(backends, order_id)
        return OrderLinks()
    return OrderLinks(_workflow_url(backends, workflow), await _trace_url(backends, workflow))


def _workflow_url(backends: Backends, workflow: WorkflowHandle[Any, Any]) -> str | None:
    if not backends.settings.temporal_ui_url:
        return None
    base = backends.settings.temporal_ui_url.rstrip("/")
    namespace = quote(backends.temporal.namespace, safe="")
    return f"{base}/namespaces/{namespace}/workflows/{workflow.id}/{workflow.run_id}/history"


async def _trace_url(backends: Backends, workflow: WorkflowHandle[Any, Any]) -> str | None:
    if not backends.settings.trace_url:
        return None
    try:
        trace_id = await backends.call_temporal(_trace_id(workflow))
    except RPCError:
        # Deleted in the meantime.
        return None
    return trace_id and backends.settings.trace_url.replace(_TRACE_ID, trace_id)


async def _trace_id(workflow: WorkflowHandle[Any, Any]) -> str | None:
    """Return the id of the trace in which the workflow was started, None without one."""
    async for event in workflow.fetch_history_events(page_size=1):
        headers = event.workflow_execution_started_event_attributes.header.fields
        parent = (carrier_of(headers) or {}).get("traceparent")
        match = _TRACEPARENT.fullmatch(parent) if isinstance(parent, str) else None
        return match and match[1]
    return None
