"""A client of somebody else, with a header of its own in all its calls."""

from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Interceptor,
    OutboundInterceptor,
    QueryWorkflowInput,
    SignalWorkflowInput,
    StartWorkflowInput,
    StartWorkflowUpdateInput,
)


class WithHeader(Interceptor):
    """Puts the header in which OpenTelemetry's plugin carries a trace into every call."""

    def __init__(self, header: Payload) -> None:
        self.headers = {"_tracer-data": header}

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002
        return _WithHeader(next, self.headers)


class _WithHeader(OutboundInterceptor):
    def __init__(self, following: OutboundInterceptor, headers: dict[str, Payload]) -> None:
        super().__init__(following)
        self.headers = headers

    async def start_workflow(self, input: StartWorkflowInput) -> Any:  # noqa: A002
        input.headers = self.headers
        return await super().start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002
        input.headers = self.headers
        await super().signal_workflow(input)

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:  # noqa: A002
        input.headers = self.headers
        return await super().query_workflow(input)

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> Any:  # noqa: A002
        input.headers = self.headers
        return await super().start_workflow_update(input)
