"""Keeps quiet about failures that the SDK itself does not look at."""

import asyncio
from typing import Any

from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)


class LostFuturesInterceptor(Interceptor):
    """For workflows: a step's failure that comes in one task with its cancellation is no error.

    The SDK then raises the cancellation and drops the step's future, failure and all, and asyncio
    reports it as lost. The history has it. Tasks, which are the workflow's own, are still reported.
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
