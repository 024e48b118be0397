"""The trace in the headers of a workflow's start, a signal, a query or an update.

OpenTelemetry's plugin decodes it with the SDK's default converter. An unreadable header would fail
the workflow task again and again until the order times out. Such a header is dropped, and the order
starts a new trace.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from temporalio import client, worker
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

_HEADER: Final = "_tracer-data"


# An interceptor of both kinds on a client is also the outermost one of its worker.
class TraceHeaderFilter(client.Interceptor, worker.Interceptor):
    """Drops unreadable headers; its plugin comes before OpenTelemetry's, and so wraps it."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 (the SDK's name; it says nothing)
    ) -> type[WorkflowInboundInterceptor]:
        """Return what wraps a workflow."""
        return _FilteredWorkflow


class _FilteredWorkflow(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        input.headers = _filtered(input.headers)
        return await super().execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002
        input.headers = _filtered(input.headers)
        await super().handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002
        input.headers = _filtered(input.headers)
        return await super().handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002
        input.headers = _filtered(input.headers)
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002
        input.headers = _filtered(input.headers)
        return await super().handle_update_handler(input)


def carrier_of(headers: Mapping[str, Payload]) -> dict[str, str | list[str]] | None:
    """Return the propagator's carrier from a call's headers; None if absent or unreadable."""
    payload = headers.get(_HEADER)
    if payload is None:
        return None
    try:
        [carrier] = PayloadConverter.default.from_payloads([payload])
        return msgspec.convert(carrier, dict[str, str | list[str]])
    except Exception:  # noqa: BLE001 (whatever a converter raises, the order goes on)
        return None


def _filtered(headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
    if _HEADER not in headers or carrier_of(headers) is not None:
        return headers
    return {name: value for name, value in headers.items() if name != _HEADER}
