"""`orderfleet-wait`, as an init container runs it."""

import signal
from contextlib import AbstractAsyncContextManager
from typing import Any
from unittest.mock import AsyncMock

import msgspec
import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain.contract import ORDER_STATE
from orderfleet.runtime.wait import wait
from orderfleet.settings import CommonSettings
from orderfleet.store.migrations import migrate, migrations
from orderfleet.store.pool import Pool
from orderfleet.temporal.client import connect
from orderfleet.temporal.namespace import check_search_attribute
from orderfleet_cli.local.postgres import ROLE
from tests.e2e.support.programs import Output, run_program
from tests.integration.support.fleet import PATIENCE, new_id
from tests.integration.support.proxy import wire_to_postgres
from tests.integration.support.servers import Database, Servers

_NEWEST = migrations()[-1][0]


def waiting(*names: str, **env: str) -> AbstractAsyncContextManager[Output]:
    patience = {"ORDERFLEET_START_WAIT_SECONDS": str(PATIENCE)}
    return run_program("orderfleet-wait", *names, env=patience | env)


async def missing(program: Output) -> str:
    """Wait for the program's next line about what is missing, and return that."""
    line = await program.until('"event": "waiting"')
    reason: str = msgspec.json.decode(line)["missing"]
    return reason


async def ready(program: Output) -> dict[str, Any]:
    """Wait until the program succeeds and return its last log line."""
    assert await program.end() == 0, program.lines
    lines = [msgspec.json.decode(line) for line in program.lines if line.startswith("{")]
    ends: list[dict[str, Any]] = [line for line in lines if line["event"] == "ready"]
    assert len(ends) == 1
    return ends[0]


async def refused(database_url: str) -> str:
    """Check Postgres once and return what is missing."""
    settings = CommonSettings(database_url=database_url, start_wait_seconds=0)
    with pytest.raises(TimeoutError) as raised:
        await wait(settings, ["postgres"])
    return str(raised.value)


@pytest.fixture
async def namespace(servers: Servers) -> Client:
    """Return a client of a namespace that does not exist yet."""
    return await connect(
        CommonSettings(
            temporal_address=servers.temporal.address, temporal_namespace=new_id("namespace")
        )
    )


async def register(client: Client) -> None:
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=client.namespace,
            workflow_execution_retention_period=Duration(seconds=86400),
        )
    )


async def add_attribute(client: Client, kind: IndexedValueType.ValueType) -> None:
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=client.namespace, search_attributes={ORDER_STATE.name: kind}
        )
    )


async def test_it_waits_until_the_migrations_have_run(servers: Servers) -> None:
    async with servers.database(migrated=False) as database:
        async with waiting("postgres", DATABASE_URL=database.url) as program:
            wanted = f"Postgres: no schema, this release needs {_NEWEST}"
            assert await missing(program) == wanted
            await migrate(database.owner_url, ROLE)
            end = await ready(program)
        assert end["waited_for"] == ["postgres"]
        assert 0 < end["seconds"] < PATIENCE


async def test_an_older_schema_is_status_1_and_one_sentence(
    database: Database, owner: Pool
) -> None:
    await owner.execute("DELETE FROM schema_migrations WHERE number > 1")
    env = {"DATABASE_URL": database.url, "ORDERFLEET_START_WAIT_SECONDS": "1"}
    async with waiting("postgres", **env) as program:
        assert await program.end() == 1
    sentence = f"Postgres: schema is at version 1, this release needs {_NEWEST}"
    assert program.lines[-1] == f"orderfleet-wait: {sentence}"
    assert [line for line in program.lines if not line.startswith("{")] == program.lines[-1:]


async def test_a_newer_schema_is_enough(database: Database, owner: Pool) -> None:
    await owner.execute("INSERT INTO schema_migrations VALUES (99, '0099_later.sql')")
    await wait(CommonSettings(database_url=database.url, start_wait_seconds=0), ["postgres"])


async def test_a_role_and_grants_that_do_not_exist_yet(database: Database, owner: Pool) -> None:
    nobody = new_id("role")
    other = database.url.replace(f"{ROLE}:", f"{nobody}:")
    assert f'password authentication failed for user "{nobody}"' in await refused(other)
    await owner.execute("REVOKE SELECT ON schema_migrations FROM orderfleet")
    assert "permission denied for table schema_migrations" in await refused(database.url)
    assert "does not exist" in await refused(f"{database.url}_nowhere")


async def test_postgres_away_and_back(database: Database) -> None:
    async with wire_to_postgres(database.url) as (wire, url):
        await wire.cut()
        async with waiting("postgres", DATABASE_URL=url) as program:
            where = CommonSettings(database_url=url).shown()["DATABASE_URL"]
            reason = await missing(program)
            assert reason.startswith(f"Postgres at {where}: [Errno 111] Connection refused")
            await wire.mend()
            await ready(program)


async def test_it_waits_for_the_namespace_and_then_for_the_search_attribute(
    namespace: Client, servers: Servers, database: Database
) -> None:
    where = f"Temporal at {servers.temporal.address}"
    env = {
        "DATABASE_URL": database.url,
        "TEMPORAL_ADDRESS": servers.temporal.address,
        "TEMPORAL_NAMESPACE": namespace.namespace,
    }
    async with waiting("postgres", "temporal", **env) as program:
        assert await missing(program) == f"no namespace '{namespace.namespace}' in {where}"
        await register(namespace)
        attribute = f"search attribute {ORDER_STATE.name} is missing in {where}"
        assert await missing(program) == attribute
        await add_attribute(namespace, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD)
        assert (await ready(program))["waited_for"] == ["postgres", "temporal"]


async def test_a_search_attribute_of_another_type_is_not_enough(
    namespace: Client, servers: Servers
) -> None:
    await register(namespace)
    await add_attribute(namespace, IndexedValueType.INDEXED_VALUE_TYPE_INT)
    settings = CommonSettings(
        temporal_address=servers.temporal.address,
        temporal_namespace=namespace.namespace,
        start_wait_seconds=0,
    )
    with pytest.raises(
        TimeoutError, match=f"^search attribute {ORDER_STATE.name} is not a Keyword "
    ):
        await wait(settings, ["temporal"])


@pytest.mark.parametrize("status", ["PERMISSION_DENIED", "UNIMPLEMENTED", "UNAVAILABLE"])
async def test_a_server_that_shows_no_search_attributes_is_trusted(
    namespace: Client, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """A managed Temporal may keep its operator's service to itself; one that is away may not."""
    error = RPCError("closed", RPCStatusCode[status], b"")
    monkeypatch.setattr(
        namespace.operator_service, "list_search_attributes", AsyncMock(side_effect=error)
    )
    if status == "UNAVAILABLE":
        with pytest.raises(RPCError):
            await check_search_attribute(namespace)
    else:
        assert await check_search_attribute(namespace) == (True, "cannot be checked here")


async def test_temporal_away(unused_tcp_port: int) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    settings = CommonSettings(temporal_address=address, start_wait_seconds=0)
    with pytest.raises(TimeoutError, match=f"^Temporal at {address}: .*refused"):
        await wait(settings, ["temporal"])


async def test_a_certificate_that_is_not_mounted_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/nowhere/ca.pem")
    with pytest.raises(TimeoutError, match=r"TEMPORAL_TLS_\*: /nowhere/ca\.pem: No such file"):
        await wait(CommonSettings(start_wait_seconds=0), ["temporal"])


@pytest.mark.parametrize("bug", [RuntimeError("bug"), ValueError("bug"), TypeError("bug")])
async def test_a_bug_is_nothing_to_wait_for(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, bug: Exception
) -> None:
    monkeypatch.setattr("orderfleet.runtime.wait.require_namespace", AsyncMock(side_effect=bug))
    settings = CommonSettings(temporal_address=servers.temporal.address)
    with pytest.raises(type(bug), match=r"^bug$"):
        await wait(settings, ["temporal"])


@pytest.mark.parametrize("name", ["postgres", "temporal"])
async def test_a_signal_ends_it_at_once_with_status_1(unused_tcp_port: int, name: str) -> None:
    there = f"127.0.0.1:{unused_tcp_port}"
    env = {"DATABASE_URL": f"postgresql://{there}/fleet", "TEMPORAL_ADDRESS": there}
    async with waiting(name, **env) as program:
        await missing(program)
        program.signal(signal.SIGTERM)
        assert await program.end(seconds=3) == 1
    assert program.lines[-1] == "orderfleet-wait: stopped before everything was ready"
