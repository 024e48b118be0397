"""A queue's workers, as a real server lists them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.client import Client

from orderfleet.temporal.queue_workers import list_queue_workers
from orderfleet_cli.doctor.check_workers import check_workers
from tests.integration.support.fleet import eventually
from tests.integration.support.servers import Servers
from tests.integration.support.versions import build
from tests.support.cli import NOWHERE, Cli

# A worker in a process of its own, which can be killed.
_WORKER = """
import asyncio, os
from temporalio.client import Client
from temporalio.worker import Worker
from orderfleet.observability.sdk_metrics import SdkMetrics

async def nothing(): ...

async def main():
    client = await Client.connect(
        os.environ["ADDRESS"], identity="process", runtime=SdkMetrics().runtime
    )
    from temporalio import activity
    await Worker(client, task_queue=os.environ["QUEUE"], activities=[activity.defn(nothing)]).run()

asyncio.run(main())
"""


async def _builds(client: Client, queue: str) -> list[str]:
    listed = await list_queue_workers(client, queue)
    return [worker.build for worker in listed.workers]


async def test_every_worker_is_listed_until_it_leaves(client: Client, queue: str) -> None:
    """Of a dozen, some would be in another partition than the one that Temporal describes."""
    names = [f"build-{number:02}" for number in range(12)]
    async with AsyncExitStack() as all_of_them:
        async with AsyncExitStack() as half:
            for name in names:
                await (half if name < "build-06" else all_of_them).enter_async_context(
                    build(client, queue, name)
                )

            async def all_are_listed() -> bool:
                return await _builds(client, queue) == names

            await eventually(all_are_listed)
        assert await _builds(client, queue) == names[6:]
    assert await _builds(client, queue) == []


@asynccontextmanager
async def _process(servers: Servers, queue: str) -> AsyncIterator[asyncio.subprocess.Process]:
    env = {**os.environ, "ADDRESS": servers.temporal.address, "QUEUE": queue}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _WORKER, env=env)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_worker_is_gone_within_seconds(
    servers: Servers, client: Client, queue: str
) -> None:
    async def identities() -> list[str]:
        listed = await list_queue_workers(client, queue, "activity")
        return [worker.identity for worker in listed.workers]

    async def is_there() -> bool:
        return await identities() == ["process"]

    async def is_gone() -> bool:
        return not await identities()

    async with _process(servers, queue) as process:
        await eventually(is_there)
        # Past its first heartbeat, after which it might have been one of an older release.
        await asyncio.sleep(3)
        assert await is_there()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await eventually(is_gone)


async def test_the_cli_shows_workers(
    servers: Servers, client: Client, queue: str, tmp_path: Path
) -> None:
    env = {"TEMPORAL_ADDRESS": servers.temporal.address, "ORDER_TASK_QUEUE": queue}
    cli = Cli(tmp_path, {**NOWHERE, **env, "SHIPPING_TASK_QUEUE": f"{queue}-shipping"})
    nobody = f"no worker of {queue}-shipping sends heartbeats"

    async def workers() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await cli("workers", "--json")).json["workers"]
        return found

    async with build(client, queue, "one"):
        async with build(client, queue, "two"):

            async def both_run() -> bool:
                return [worker["status"] for worker in await workers()] == ["running", "running"]

            await eventually(both_run)
            one, two = await workers()
            assert (one["build"], two["build"]) == ("one", "two")
            assert one["workflow_slots"] == {"used": 0, "of": 100}
            findings = await check_workers(client, queue)
            assert [finding.ok for finding in findings] == [True, True]
            assert f"running on {queue}, build one: workflow tasks 0 of 100" in findings[0].found
            shown = (await cli("workers")).out
            assert "0 of 100" in shown
            assert shown.endswith(f"{nobody}\n")

        async def two_has_left() -> bool:
            return {worker["build"]: worker["status"] for worker in await workers()} in (
                {"one": "running", "two": "draining"},
                {"one": "running"},
            )

        await eventually(two_has_left)
