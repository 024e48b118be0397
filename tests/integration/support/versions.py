"""Builds of a small worker, each for a while."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from orderfleet.temporal.queue_workers import list_queue_workers
from orderfleet.versions.deployments import (
    Version,
    count_open,
    describe_deployment,
    set_current,
)
from tests.integration.support.fleet import eventually, new_id


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class Pinned:
    def __init__(self) -> None:
        self._ended = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self._ended)

    @workflow.signal
    def end(self) -> None:
        self._ended = True


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class Upgrading(Pinned):
    @workflow.run
    async def run(self) -> None:
        await super().run()


@workflow.defn
class Plain(Pinned):
    @workflow.run
    async def run(self) -> None:
        await super().run()


@asynccontextmanager
async def build(
    client: Client, queue: str, build_id: str, *workflows: type
) -> AsyncIterator[Version]:
    """Run a worker of a build until the block ends; Temporal knows it when the block begins.

    Its workflows are those of this module, if there are no others.
    """
    version = Version(queue, build_id)
    config = WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(queue, build_id), use_worker_versioning=True
    )
    # Heartbeats have the client's identity.
    own = await Client.connect(
        client.service_client.config.target_host,
        identity=build_id,
        data_converter=client.data_converter,
    )
    worker = Worker(
        own,
        task_queue=queue,
        workflows=workflows or (Pinned, Upgrading),
        deployment_config=config,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )

    async def known() -> bool:
        deployment = await describe_deployment(client, queue)
        if version not in {summary.version for summary in deployment.versions}:
            return False
        return bool((await list_queue_workers(client, queue)).of(build_id))

    async with worker:
        await eventually(known)
        yield version


async def current(client: Client, version: Version) -> None:
    """Make a version current; the server refuses until it has registered the poller."""

    async def done() -> bool:
        try:
            await set_current(client, version)
        except RPCError:
            return False
        return True

    await eventually(done)


async def pinned(client: Client, version: Version) -> WorkflowHandle[Any, None]:
    """Start a workflow that goes to this version, and wait until it is pinned there."""
    before = await count_open(client, version)
    handle = await client.start_workflow(
        Pinned.run, id=new_id("pinned"), task_queue=version.deployment
    )

    async def begun() -> bool:
        return await count_open(client, version) > before

    await eventually(begun)
    return handle
