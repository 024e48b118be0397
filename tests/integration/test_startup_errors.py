"""A process whose namespace or address is wrong ends with one line."""

import pytest

from orderfleet_cli.local.ports import PortFinder
from tests.e2e.support.programs import run_program
from tests.integration.support.servers import Database, Servers
from tests.support.guarded_temporal import guard


def env(database: Database, **settings: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database.url,
        "ORDERFLEET_PROBE_PORT": str(PortFinder(print).take("probes", 0)),
        "LOG_LEVEL": "error",
        **settings,
    }


@pytest.mark.parametrize("program", ["orderfleet-order-worker", "orderfleet-shipping-worker"])
async def test_a_missing_namespace_is_one_line_and_status_1(
    program: str, servers: Servers, database: Database
) -> None:
    temporal = {"TEMPORAL_ADDRESS": servers.temporal.address, "TEMPORAL_NAMESPACE": "nowhere"}
    async with run_program(program, env=env(database, **temporal)) as worker:
        assert await worker.end() == 1, worker.lines
    assert worker.lines == [f"{program}: Namespace nowhere is not found."]


@pytest.mark.parametrize("program", ["orderfleet-api", "orderfleet-shipping-worker"])
async def test_an_unusable_address_is_one_line_and_status_2(
    program: str, database: Database
) -> None:
    async with run_program(program, env=env(database, TEMPORAL_ADDRESS="here:99999")) as process:
        assert await process.end() == 2, process.lines
    assert process.lines == [f"{program}: TEMPORAL_ADDRESS: expected host:port (got 'here:99999')"]


async def test_an_unreadable_certificate_of_postgres_is_one_line_and_status_2(
    servers: Servers, database: Database
) -> None:
    program = "orderfleet-api"
    url = f"{database.url}?sslmode=verify-full&sslrootcert=/nowhere/ca.crt"
    settings = env(database, DATABASE_URL=url, TEMPORAL_ADDRESS=servers.temporal.address)
    async with run_program(program, env=settings) as process:
        assert await process.end() == 2, process.lines
    assert process.lines == [f"{program}: DATABASE_URL: /nowhere/ca.crt: No such file or directory"]


@pytest.mark.parametrize("program", ["orderfleet-api", "orderfleet-order-worker"])
async def test_a_refused_api_key_is_one_line_and_status_2(
    program: str, servers: Servers, database: Database
) -> None:
    async with guard(servers.temporal.address, "right") as (address, _):
        settings = env(
            database, TEMPORAL_ADDRESS=address, TEMPORAL_TLS="false", TEMPORAL_API_KEY="wrong"
        )
        async with run_program(program, env=settings) as process:
            assert await process.end() == 2, process.lines
    assert process.lines == [
        (
            f'{program}: Temporal at {address} refuses this client (the "key" is not valid): check'
            " TEMPORAL_API_KEY, TEMPORAL_API_KEY_FILE and TEMPORAL_TLS_CLIENT_*"
        )
    ]
