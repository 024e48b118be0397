"""Workflows of a worker without versioning.

A workflow's class declares its versioning behavior, and the SDK sends it with each task. The server
refuses it from a worker that names no build: no task of such a worker would ever be completed.
"""

from collections.abc import Sequence

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.workflow import _Definition


class UnversionedWorkflowRunner(WorkflowRunner):
    """Runs workflows as another runner does, and leaves their versioning behavior out."""

    def __init__(self, runner: WorkflowRunner) -> None:
        self._runner = runner

    def prepare_workflow(self, defn: _Definition) -> None:
        """Prepare by the other runner."""
        self._runner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Create an instance by the other runner."""
        instance = self._runner.create_instance(det)
        activate = instance.activate

        def activate_unversioned(act: WorkflowActivation) -> WorkflowActivationCompletion:
            completion = activate(act)
            if completion.HasField("successful"):
                completion.successful.ClearField("versioning_behavior")
            return completion

        instance.activate = activate_unversioned  # type: ignore[method-assign]
        return instance

    def set_worker_level_failure_exception_types(
        self, types: Sequence[type[BaseException]]
    ) -> None:
        """Set them on the other runner."""
        self._runner.set_worker_level_failure_exception_types(types)
