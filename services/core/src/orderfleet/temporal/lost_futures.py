"""Silences asyncio about failures that the SDK drops."""

import asyncio
from typing import Any

from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)


class LostFuturesInterceptor(Interceptor):
    """Ignores a step's failure that comes in the same workflow task as the step's cancellation.

    The SDK then raises the cancellation and drops the step's future, and asyncio logs that its
    exception was never retrieved. The failure is in the history. Exceptions of tasks, which are the
    workflow's own, are still logged.
    """

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 (the SDK's name)
    ) -> type[WorkflowInboundInterceptor] | None:
        """Return the class that the SDK makes for each workflow."""
        return _LostFutures


class _LostFutures(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        asyncio.get_running_loop().set_exception_handler(_report)
        return await super().execute_workflow(input)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    future = context.get("future")
    if future is None or isinstance(future, asyncio.Task):
        loop.default_exception_handler(context)
