"""A process whose namespace or address is wrong ends with one line."""

import pytest

from orderfleet_cli.local.ports import PortFinder
from tests.e2e.support.programs import run_program
from tests.integration.support.servers import Database, Servers


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


async def test_an_unusable_address_is_one_line_and_status_2(database: Database) -> None:
    program = "orderfleet-shipping-worker"
    async with run_program(program, env=env(database, TEMPORAL_ADDRESS="here:99999")) as process:
        assert await process.end() == 2, process.lines
    [line] = process.lines
    assert line.startswith(f"{program}: TEMPORAL_ADDRESS or TEMPORAL_TLS_*: ")
    assert "invalid port number" in line
