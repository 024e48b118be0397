"""The trace in the headers of a workflow's start, a signal, a query or an update.

The plugin decodes it with the SDK's default converter, and what it cannot read fails the workflow
task again and again until the order has timed out. Such a header is dropped: the order has a trace
of its own then.
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


# A client's interceptors are its worker's outermost ones, if they are both.
class ReadableTraces(client.Interceptor, worker.Interceptor):
    """Keeps from the plugin what it cannot read; stands before it, and so around it."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 (the SDK's name; it says nothing)
    ) -> type[WorkflowInboundInterceptor]:
        """Return what wraps a workflow."""
        return _Readable


class _Readable(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        input.headers = _readable(input.headers)
        return await super().execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002
        input.headers = _readable(input.headers)
        await super().handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002
        input.headers = _readable(input.headers)
        return await super().handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002
        input.headers = _readable(input.headers)
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002
        input.headers = _readable(input.headers)
        return await super().handle_update_handler(input)


def carrier_of(headers: Mapping[str, Payload]) -> dict[str, str | list[str]] | None:
    """Return what a propagator reads of a call's headers; None if there is nothing to be read."""
    given = headers.get(_HEADER)
    if given is None:
        return None
    try:
        [carrier] = PayloadConverter.default.from_payloads([given])
        return msgspec.convert(carrier, dict[str, str | list[str]])
    except Exception:  # noqa: BLE001 (whatever a converter raises, the order goes on)
        return None


def _readable(headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
    if _HEADER not in headers or carrier_of(headers) is not None:
        return headers
    return {name: value for name, value in headers.items() if name != _HEADER}
