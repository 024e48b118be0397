"""Temporal and Postgres for the benchmark: once for all that is measured in one run."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain.contract import OPEN, ORDER_STATE
from orderfleet.temporal.namespace import check_search_attribute
from orderfleet_cli.local.ports import LOOPBACK, PortFinder
from orderfleet_cli.local.postgres import OWNER, Postgres
from orderfleet_cli.local.processes import (
    Process,
    Program,
    environment,
    executable,
    run_once,
)
from orderfleet_cli.local.temporal import Temporal
from tests.bench.usage import Tree

# The chart's own server, see charts/orderfleet/charts/temporal: the same environment, shards and
# dynamic configuration, so that what is measured is what is deployed.
_CHART: Final = Path(__file__).parents[2] / "charts" / "orderfleet" / "values.yaml"
NAMESPACE: Final = "default"
# What is registered gets around within seconds.
_NAMESPACE_SECONDS: Final = 30.0
_POLL: Final = 0.2
_RETENTION_SECONDS: Final = 72 * 3600
DATABASES: Final = {"temporal": "temporal", "visibility": "temporal_visibility"}
# The server's own; its database has no room for one above 32,767, so not any free port.
_PORTS: Final = {
    "FRONTEND_GRPC_PORT": 7233,
    "FRONTEND_HTTP_PORT": 7243,
    "FRONTEND_MEMBERSHIP_PORT": 6933,
    "HISTORY_GRPC_PORT": 7234,
    "HISTORY_MEMBERSHIP_PORT": 6934,
    "MATCHING_GRPC_PORT": 7235,
    "MATCHING_MEMBERSHIP_PORT": 6935,
    "WORKER_GRPC_PORT": 7239,
    "WORKER_MEMBERSHIP_PORT": 6939,
}


@dataclass(frozen=True)
class Server:
    """Where Temporal and Postgres answer, what they are, and what they use."""

    kind: str
    address: str
    postgres: Postgres
    trees: Mapping[str, Tree]
    temporal: Process | None
    """None if it runs elsewhere."""

    async def client(self, **options: Any) -> Client:
        """Connect, to the namespace `default` unless another is named, and make that."""
        namespace = options.pop("namespace", NAMESPACE)
        if namespace != NAMESPACE:
            await _namespace(self.address, namespace)
        return await Client.connect(self.address, namespace=namespace, **options)


@asynccontextmanager
async def run_server(
    data: Path, config: Mapping[str, object] | None = None
) -> AsyncIterator[Server]:
    """Start Postgres, durable as in production, and Temporal.

    Temporal is the one at TEMPORAL_ADDRESS if that is set, else `temporal-server` on the same
    Postgres if it is on the PATH, else the development server.

    Args:
        data: a folder.
        config: more values of the dynamic configuration of a Temporal that is started.
    """
    find = PortFinder(print)
    postgres = Postgres(data, find.take("Postgres", 0), durable=True)
    process: Process | None = None
    try:
        await postgres.start()
        trees = {"postgres": Tree(postgres.process)}
        if address := os.environ.get("TEMPORAL_ADDRESS", ""):
            kind = "the one at TEMPORAL_ADDRESS"
            await _namespace(address, NAMESPACE)
        elif shutil.which("temporal-server"):
            kind = f"temporal-server on Postgres, {_deployed()['historyShards']} history shards"
            process, address = await _start_server(data, postgres, find, config or {})
        else:
            kind = "Temporal's development server, in memory"
            ports = find.take("Temporal", 0), find.take("UI", 0)
            development = Temporal(data, *ports, config=config)
            await development.start()
            process, address = development.process, development.address
        if process is not None:
            trees["temporal"] = Tree(process)
        yield Server(kind, address, postgres, trees, process)
    finally:
        if process is not None:
            await process.stop()
        await postgres.process.stop()


async def _start_server(
    data: Path, postgres: Postgres, find: PortFinder, config: Mapping[str, object]
) -> tuple[Process, str]:
    for kind, database in DATABASES.items():
        await postgres.create_database(database)
        await _make_schema(data, postgres, kind, database)
    dynamic = data / "dynamic-config.yaml"
    deployed = _deployed()
    more = {name: [{"value": value}] for name, value in config.items()}
    dynamic.write_text(yaml.safe_dump(deployed["dynamicConfig"] | more))
    ports = {name: str(find.take(name, wanted)) for name, wanted in _PORTS.items()}
    address = f"{LOOPBACK}:{ports['FRONTEND_GRPC_PORT']}"
    env = environment() | ports | _server_environment(postgres, dynamic, deployed)

    async def ready() -> bool:
        return await _namespace_there(address, NAMESPACE)

    argv = (executable("temporal-server"), "--allow-no-auth", "start")
    process = Process(Program(name="temporal", argv=argv, env=env, ready=ready), data)
    await process.start()
    return process, address


async def _make_schema(data: Path, postgres: Postgres, kind: str, database: str) -> None:
    tool = (
        *(executable("temporal-sql-tool"), "--plugin", "postgres12_pgx", "--endpoint", LOOPBACK),
        *("--port", str(postgres.port), "--user", OWNER, "--database", database),
    )
    for step in (
        ("setup-schema", "--version", "0.0"),
        ("update-schema", "--schema-name", f"postgresql/v12/{kind}"),
    ):
        env = environment() | {"SQL_PASSWORD": _password(postgres)}
        await run_once(f"schema-{kind}-{step[0]}", (*tool, *step), env, data)


def _password(postgres: Postgres) -> str:
    return urlsplit(postgres.url()).password or ""


def _deployed() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(_CHART.read_text())["temporal"]
    return found


def _server_environment(
    postgres: Postgres, dynamic: Path, deployed: Mapping[str, Any]
) -> dict[str, str]:
    connections = str(deployed["postgres"]["maxConnections"])
    limit = float(deployed["resources"]["limits"]["memory"].removesuffix("Gi")) * 2**30
    return {
        "GOMEMLIMIT": f"{0.9 * limit:.0f}",
        "DB": "postgres12_pgx",
        "POSTGRES_SEEDS": LOOPBACK,
        "DB_PORT": str(postgres.port),
        "POSTGRES_USER": OWNER,
        "POSTGRES_PWD": _password(postgres),
        "DBNAME": DATABASES["temporal"],
        "VISIBILITY_DBNAME": DATABASES["visibility"],
        "SQL_MAX_CONNS": connections,
        "SQL_MAX_IDLE_CONNS": connections,
        "NUM_HISTORY_SHARDS": str(deployed["historyShards"]),
        "BIND_ON_IP": LOOPBACK,
        "DYNAMIC_CONFIG_FILE_PATH": str(dynamic),
        "LOG_LEVEL": "warn",
    }


async def _namespace(address: str, namespace: str) -> None:
    async with asyncio.timeout(_NAMESPACE_SECONDS):
        while not await _namespace_there(address, namespace):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(_POLL)


async def _namespace_there(address: str, namespace: str) -> bool:
    """Make the namespace if need be; tell whether all of the server knows it by now."""
    try:
        await _make_namespace(address, namespace)
    except (RPCError, RuntimeError):
        return False
    return True


async def _make_namespace(address: str, namespace: str) -> None:
    client = await Client.connect(address, namespace=namespace)
    request = RegisterNamespaceRequest(namespace=namespace)
    request.workflow_execution_retention_period.seconds = _RETENTION_SECONDS
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    there, _ = await check_search_attribute(client)
    if not there:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=namespace, search_attributes={ORDER_STATE.name: keyword}
            )
        )
    # What is registered is not known to all of the server at once.
    await client.count_workflows(f"{ORDER_STATE.name} = '{OPEN}'")
