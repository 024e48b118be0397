"""The program `orderfleet-order-gate`, as a Job runs it."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

import orderfleet_order_worker
from orderfleet.temporal.task_queues import describe_task_queue
from orderfleet.versions.build import build_id
from orderfleet.versions.deployments import describe_deployment
from tests.integration.support.fleet import eventually
from tests.integration.support.gate_builds import GoodOrder
from tests.integration.support.servers import Servers
from tests.integration.support.versions import build, current

PROGRAM = "orderfleet-order-gate"
BUILD = build_id(orderfleet_order_worker)


@asynccontextmanager
async def gate(servers: Servers, queue: str, **environ: str) -> AsyncIterator[Process]:
    """Start the program."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name(PROGRAM),
        env={
            "PATH": os.environ["PATH"],
            "TEMPORAL_ADDRESS": servers.temporal.address,
            "ORDER_TASK_QUEUE": queue,
            "ORDERFLEET_LOG_FORMAT": "json",
            **environ,
        },
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def last_line(process: Process) -> tuple[int | None, str]:
    """Wait for the end; return the status and the last line on stderr."""
    async with asyncio.timeout(30):
        _, err = await process.communicate()
    lines = err.decode().splitlines()
    assert not [line for line in lines if "Traceback" in line], lines
    return process.returncode, lines[-1] if lines else ""


async def test_the_first_build_serves(servers: Servers, client: Client, queue: str) -> None:
    async with build(client, queue, BUILD, GoodOrder), gate(servers, queue) as process:
        assert (await last_line(process))[0] == 0
        assert (await describe_deployment(client, queue)).current == BUILD


async def test_a_build_that_nobody_runs_is_one_line(servers: Servers, queue: str) -> None:
    async with gate(servers, queue, ORDERFLEET_GATE_WAIT_SECONDS="1") as process:
        message = f"{PROGRAM}: no worker of build {BUILD} polled {queue} within 1 s"
        assert await last_line(process) == (1, message)


async def test_sigterm_ends_the_ramp(servers: Servers, client: Client, queue: str) -> None:
    async with (
        build(client, queue, "one", GoodOrder) as one,
        build(client, queue, BUILD, GoodOrder),
    ):
        await current(client, one)
        async with gate(servers, queue) as process:

            async def ramps() -> bool:
                described = await describe_task_queue(client, queue, "workflow")
                return described.versioning_info.ramping_deployment_version.build_id == BUILD

            await eventually(ramps)
            process.send_signal(signal.SIGTERM)
            assert await last_line(process) == (1, f"{PROGRAM}: stopped before the verdict")
            deployment = await describe_deployment(client, queue)
            assert (deployment.current, deployment.ramping) == ("one", None)
