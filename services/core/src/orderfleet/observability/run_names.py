"""Which order a line of the SDK's core is about: the core tells a workflow's run only."""

import logging
from typing import Any, Final

from temporalio import workflow
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

_REMEMBER: Final = "orderfleet_remember_run"
# A run that fails a task was begun, or replayed, a moment ago.
_KEPT: Final = 2000


class RunNames(Interceptor, logging.Filter):
    """An interceptor that keeps the names of the latest runs, and a filter that adds them."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, dict[str, str]] = {}

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowInboundInterceptor]:
        """Let workflows say who they are, out of their sandbox."""
        input.unsafe_extern_functions[_REMEMBER] = self._remember
        return _Inbound

    def filter(self, record: logging.LogRecord) -> bool:
        """Name the workflow of a line that has a run."""
        core: Any = getattr(record, "temporal_log", None)
        run_id = core.fields.get("run_id") if core is not None else None
        if run_id in self._names:
            record.temporal_workflow = self._names[run_id]
        return True

    def _remember(self, run_id: str, workflow_id: str, workflow_type: str) -> None:
        self._names.pop(run_id, None)
        self._names[run_id] = {"workflow_id": workflow_id, "workflow_type": workflow_type}
        if len(self._names) > _KEPT:
            del self._names[next(iter(self._names))]


class _Inbound(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        info = workflow.info()
        workflow.extern_functions()[_REMEMBER](info.run_id, info.workflow_id, info.workflow_type)
        return await super().execute_workflow(input)
