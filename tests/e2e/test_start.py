"""Processes that cannot start, or are stopped before they have."""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping

import pytest

from tests.e2e.support.orders import Orders
from tests.e2e.support.programs import run_program

pytestmark = pytest.mark.asyncio(loop_scope="session")

_API = "ORDERFLEET_API_PORT"
_PROBE = "ORDERFLEET_PROBE_PORT"


def _env(orders: Orders) -> dict[str, str]:
    return {
        "DATABASE_URL": orders.fleet.database_url,
        "TEMPORAL_ADDRESS": orders.fleet.temporal_address,
        "LOG_LEVEL": "warning",
    }


async def test_a_worker_that_waits_for_its_servers_can_be_stopped(
    orders: Orders, unused_tcp_port_factory: Callable[[], int]
) -> None:
    nobody = f"127.0.0.1:{unused_tcp_port_factory()}"
    temporal = {"TEMPORAL_ADDRESS": nobody}
    postgres = {"DATABASE_URL": f"postgresql://orderfleet@{nobody}/orderfleet"}

    async def stop(name: str, missing: str, env: Mapping[str, str]) -> None:
        async with run_program(f"orderfleet-{name}", env={**_env(orders), **env}) as program:
            await program.until(f"waiting for {missing}")
            program.signal(signal.SIGTERM)
            # Far less than the minute it would wait.
            assert await program.end(seconds=10) == 0, program.lines
        assert "Traceback" not in "\n".join(program.lines)

    await asyncio.gather(
        stop("order-worker", "Temporal", temporal),
        stop("shipping-worker", "Temporal", temporal),
        stop("order-worker", "Postgres", postgres),
        stop("shipping-worker", "Postgres", postgres),
    )


async def test_a_port_in_use_is_told_in_one_line(
    orders: Orders, unused_tcp_port_factory: Callable[[], int]
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = str(server.getsockname()[1])

        async def refused(name: str, variable: str) -> None:
            free = {_API: str(unused_tcp_port_factory()), _PROBE: str(unused_tcp_port_factory())}
            env = {**_env(orders), **free, variable: taken}
            async with run_program(f"orderfleet-{name}", env=env) as program:
                assert await program.end() == 1, program.lines
            told = [line for line in program.lines if line]
            assert len(told) == 1, told
            assert told[0].startswith(f"orderfleet-{name}: ")
            assert "in use" in told[0]
            assert taken in told[0]

        await asyncio.gather(
            refused("api", _API),
            refused("api", _PROBE),
            refused("order-worker", _PROBE),
            refused("shipping-worker", _PROBE),
        )
