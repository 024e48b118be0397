"""The command `versions` on a real server, with builds of a small worker."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from orderfleet.versions.deployments import set_ramp
from tests.integration.support.fleet import eventually
from tests.integration.support.servers import Servers
from tests.integration.support.versions import build, current, pinned
from tests.support.cli import NOWHERE, Cli


@pytest.fixture
def cli(servers: Servers, queue: str, tmp_path: Path) -> Cli:
    env = {
        "TEMPORAL_ADDRESS": servers.temporal.address,
        "ORDER_TASK_QUEUE": queue,
        "SHIPPING_TASK_QUEUE": f"{queue}-shipping",
    }
    return Cli(tmp_path, {**NOWHERE, **env})


async def _builds(cli: Cli) -> dict[str, tuple[Any, ...]]:
    orders, shipping = (await cli("versions", "--json")).json["queues"]
    assert shipping["versions"] == []
    return {
        version["build"]: (version["status"], version["share"], version["open_orders"])
        for version in orders["versions"]
    }


async def test_without_versions(cli: Cli, queue: str) -> None:
    shown, rollback, promote, off, pin = await cli.all(
        "versions",
        "versions rollback",
        "versions promote 0123456789ab",
        "versions promote --unversioned",
        "versions pin nobody",
    )
    assert shown.out.splitlines() == [
        f"{name} has no versions; pollers: 0" for name in (queue, f"{queue}-shipping")
    ]
    assert rollback.error.startswith("no build is ramping, and no worker of an earlier build polls")
    assert promote.error.startswith("no worker of build 0123456789ab polls ")
    assert off.status == 0
    assert pin.error.startswith("Temporal: ")


async def test_promote_roll_back_and_move_an_order(cli: Cli, client: Client, queue: str) -> None:
    async with build(client, queue, "one") as one:
        await current(client, one)
        async with build(client, queue, "two") as two:

            async def promoted() -> bool:
                return (await cli("versions", "promote", "two")).status == 0

            await eventually(promoted)
            handle = await pinned(client, two)
            assert await _builds(cli) == {"two": ("current", 1, 1), "one": ("draining", 0, 0)}
            back = await cli("versions", "rollback", "--json")
            assert back.json == {"queues": [{"task_queue": queue, "current": "one"}]}
        # Further back there is nothing: it does not go forth to the bad build.
        assert "no build is ramping" in (await cli("versions", "rollback")).error
        assert await _builds(cli) == {"one": ("current", 1, 0), "two": ("draining", 0, 1)}
        doctor = await cli("doctor")
        assert f"versions of {queue}" in doctor.out
        assert "off: no worker of this queue is versioned" in doctor.out
        moved, none = await cli.all(
            f"versions pin {handle.id}", f"versions pin {handle.id} 0123456789ab"
        )
        assert moved.out == f"{handle.id} goes on with build one\n"
        assert "is not present in task queue" in none.error
        await handle.signal("end")
        await handle.result()
        assert "already completed" in (await cli("versions", "pin", handle.id)).error
        table = (await cli("versions")).out.splitlines()
        assert table[0].split()[:3] == ["task", "queue", "build"]
        assert table[1].split()[:6] == [queue, "one", "current", "100%", "1", "0"]


async def test_end_a_ramp_and_turn_versioning_off(cli: Cli, client: Client, queue: str) -> None:
    async with build(client, queue, "one") as one, build(client, queue, "two") as two:
        await current(client, one)
        await set_ramp(client, two, 10)
        assert await _builds(cli) == {"one": ("current", 0.9, 0), "two": ("ramping", 0.1, 0)}
        ended = await cli("versions", "rollback")
        assert ended.out == f"new orders of {queue} go to build one\n"
        await set_ramp(client, two, 10)
        assert (await cli("versions", "promote", "one")).status == 0
        assert await _builds(cli) == {"one": ("current", 1, 0), "two": ("draining", 0, 0)}
        await set_ramp(client, two, 10)
        off = await cli("versions", "promote", "--unversioned")
        assert f"new orders of {queue} go to workers without versioning\n" in off.out
        builds = await _builds(cli)
        assert builds["unversioned"] == ("current", 1, None)
        assert {builds["one"][1], builds["two"][1]} == {0}
