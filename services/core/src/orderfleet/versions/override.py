"""The build of a single open workflow, whatever its type's versioning behavior says."""

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionOptionsRequest
from temporalio.client import Client

from orderfleet.versions.deployments import TIMEOUT, Version


async def pin_to(client: Client, workflow_id: str, run_id: str, version: Version) -> None:
    """Let a workflow go on with this version.

    Raises:
        RPCError: the version never polled, or the workflow has closed; or the call failed.
    """
    pinned = VersioningOverride.PinnedOverride(
        behavior=VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED,
        version=WorkerDeploymentVersion(deployment_name=version.deployment, build_id=version.build),
    )
    await _override(client, workflow_id, run_id, VersioningOverride(pinned=pinned))


async def unpin(client: Client, workflow_id: str) -> None:
    """Let a workflow go on with the current version.

    Raises:
        RPCError: the workflow has closed (NOT_FOUND), or Temporal does not answer.
    """
    await _override(client, workflow_id, "", VersioningOverride(auto_upgrade=True), retry=True)


async def _override(
    client: Client,
    workflow_id: str,
    run_id: str,
    override: VersioningOverride,
    *,
    retry: bool = False,
) -> None:
    await client.workflow_service.update_workflow_execution_options(
        UpdateWorkflowExecutionOptionsRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            workflow_execution_options=WorkflowExecutionOptions(versioning_override=override),
            update_mask=FieldMask(paths=["versioning_override"]),
        ),
        timeout=TIMEOUT,
        retry=retry,
    )
