"""Adds workflow id and type to the log lines of the SDK's core, which name the run only."""

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
# A run whose task fails has started, or was replayed, a moment before.
_MOST_RUNS: Final = 2000


class SdkLogContext(Interceptor, logging.Filter):
    """As an interceptor it remembers the latest runs; as a log filter it adds their workflows."""

    def __init__(self) -> None:
        super().__init__()
        self._workflows: dict[str, dict[str, str]] = {}

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowInboundInterceptor]:
        """Give workflows a function outside their sandbox that remembers their run."""
        input.unsafe_extern_functions[_REMEMBER] = self._remember
        return _Inbound

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the workflow to a record that has a run id; keep every record."""
        core: Any = getattr(record, "temporal_log", None)
        run_id = core.fields.get("run_id") if core is not None else None
        if run_id in self._workflows:
            record.temporal_workflow = self._workflows[run_id]
        return True

    def _remember(self, run_id: str, workflow_id: str, workflow_type: str) -> None:
        self._workflows.pop(run_id, None)
        self._workflows[run_id] = {"workflow_id": workflow_id, "workflow_type": workflow_type}
        if len(self._workflows) > _MOST_RUNS:
            del self._workflows[next(iter(self._workflows))]


class _Inbound(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        info = workflow.info()
        workflow.extern_functions()[_REMEMBER](info.run_id, info.workflow_id, info.workflow_type)
        return await super().execute_workflow(input)
