"""The functions over Worker Deployments, on a real server."""

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.versions.deployments import (
    Deployment,
    Version,
    VersionStatus,
    count_open,
    describe_deployment,
    server_can_version,
    set_current,
    set_ramp,
    unset_ramp,
)
from tests.integration.support.fleet import eventually
from tests.integration.support.versions import build, current


async def test_the_server_can_version(client: Client) -> None:
    assert (await server_can_version(client))[0]


async def test_a_queue_without_versioned_workers_has_no_versions(
    client: Client, queue: str
) -> None:
    assert await describe_deployment(client, queue) == Deployment(queue)
    with pytest.raises(RPCError) as caught:
        await set_current(client, Version(queue, "one"))
    assert caught.value.status is RPCStatusCode.NOT_FOUND


async def test_new_orders_go_to_the_current_version_and_a_share_to_the_ramping_one(
    client: Client, queue: str
) -> None:
    async with build(client, queue, "one") as one, build(client, queue, "two") as two:
        await current(client, one)
        await set_ramp(client, two, 100)
        deployment = await describe_deployment(client, queue)
        assert (deployment.current, deployment.ramping, deployment.percent) == ("one", "two", 100)
        assert [summary.version for summary in deployment.versions] == [two, one]
        assert [summary.status for summary in deployment.versions] == [
            VersionStatus.RAMPING,
            VersionStatus.CURRENT,
        ]
        handle = await client.start_workflow("Pinned", id=f"{queue}/1", task_queue=queue)

        async def open_on_two() -> bool:
            return await count_open(client, two) == 1

        await eventually(open_on_two)
        assert await count_open(client, one) == 0
        await unset_ramp(client, queue)
        deployment = await describe_deployment(client, queue)
        assert (deployment.current, deployment.ramping, deployment.percent) == ("one", None, 0)
        await handle.signal("end")
        await handle.result()

        async def none_open_on_two() -> bool:
            return await count_open(client, two) == 0

        await eventually(none_open_on_two)


async def test_what_upgrades_by_itself_is_not_pinned(client: Client, queue: str) -> None:
    async with build(client, queue, "one") as one:
        await current(client, one)
        handle = await client.start_workflow("Upgrading", id=f"{queue}/1", task_queue=queue)
        query = f"TemporalWorkerDeploymentVersion = '{one}' AND ExecutionStatus = 'Running'"

        async def is_open() -> bool:
            return (await client.count_workflows(query)).count == 1

        await eventually(is_open)
        assert await count_open(client, one) == 0
        await handle.signal("end")
        await handle.result()


async def test_a_change_of_an_outdated_view_is_refused(client: Client, queue: str) -> None:
    async with build(client, queue, "one") as one, build(client, queue, "two") as two:
        await current(client, one)
        token = (await describe_deployment(client, queue)).token
        await set_ramp(client, two, 10, token=token)
        with pytest.raises(RPCError) as caught:
            await set_current(client, two, token=token)
        assert caught.value.status is RPCStatusCode.FAILED_PRECONDITION
        assert (await describe_deployment(client, queue)).current == "one"
