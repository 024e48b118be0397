"""Every command of every runbook, on a fleet that has the fault which the runbook is about.

A stand-in for kubectl shows the logs of that fleet. tests/cluster/test_runbooks.py runs the other
commands of kubectl and helm, and test_monitoring.py beside it those of promtool.
"""

import asyncio
import os
import shutil
import stat
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import pytest
import pytest_asyncio
from temporalio.client import Client

from orderfleet.domain.contract import ORDER_TASK_QUEUE
from orderfleet.gateways.simulated import Fault
from orderfleet.store.pool import open_pool
from orderfleet.versions.view import view_queue
from orderfleet_cli.local import FleetOptions, Ports, run_fleet
from orderfleet_cli.local.processes import environment, executable, log_path
from tests.e2e.support.orders import Orders, clients, eventually
from tests.e2e.support.programs import run_program
from tests.monitoring.support.mishaps import order_of_another_release, unknown_workflow
from tests.support.runbooks import Command, Place, commands

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

_T = TypeVar("_T")
_ROOT: Final = Path(__file__).parents[2]
# These are about a Postgres that is away.
_OUTAGE: Final = ("ApiErrors", "ExporterDown")
_FAULTS: Final = (
    Fault(at="refund", kind="fail_before", orders="unpaid-*"),
    Fault(at="charge", kind="hang_before", orders="hangs-*"),
)
_KUBECTL: Final = """#!/bin/sh
# kubectl -n NAMESPACE logs -l app.kubernetes.io/component=COMPONENT --tail=LINES
[ "$1 $3 $4" = "-n logs -l" ] || { echo "unexpected: $*" >&2; exit 2; }
exec tail -n "${6#--tail=}" "$LOGS/${5##*=}.log"
"""
# What has to be in the answer, by the beginning of the command: all others have to say something.
_SAID: Final = {
    ("ApiErrors", "curl"): "HTTP/1.1 503",
    ("ApiErrors", "orderfleet doctor"): "Postgres",
    ("ExporterDown", "orderfleet doctor"): "Postgres",
    ("MigrationFailed", "kubectl"): "migrat",
    ("OrderDeadlineBurnSlow", "orderfleet list"): "timed_out",
    ("RefundsPendingTooLong", "temporal workflow list"): "/refund",
    ("RefundsPendingTooLong", "temporal workflow describe"): "failed before (injected)",
    ("RefundsPendingTooLong", "orderfleet show"): "captured",
    ("ReconciliationNeeded", "temporal schedule describe"): "ReconcileOrders",
    ("ReconciliationNeeded", "temporal workflow list"): "ReconcileOrders",
    ("ReconciliationFails", "kubectl"): "reconciliation failed",
    ("ReconciliationFails", "temporal workflow list"): "ReconcileOrders",
    ("VersionRampStuck", "orderfleet versions rollback"): "no build is ramping",
    ("VersionRampStuck", "orderfleet versions"): "orders-tq",
    ("WorkflowNonDeterminism", "kubectl"): "[TMPRL1100] Nondeterminism error",
    ("WorkflowNonDeterminism", "orderfleet history"): "TMPRL1100",
    ("WorkflowTaskFailures", "kubectl"): "Failing workflow task",
    ("WorkflowTaskFailures", "temporal workflow describe"): "cause=WorkflowTaskFailed",
    ("WorkflowTaskFailures", "orderfleet history ORDER |"): "workflow_task_failed",
}
# Of what is wrong, these say so by their exit status as well.
_FAIL: Final = {
    ("ApiErrors", "orderfleet doctor"): 1,
    ("ExporterDown", "orderfleet doctor"): 1,
    ("VersionRampStuck", "orderfleet versions rollback"): 1,
    ("WorkflowNonDeterminism", "orderfleet history"): 2,
    ("WorkflowTaskFailures", "orderfleet history ORDER --json"): 2,
}


@dataclass(frozen=True)
class Sick:
    """A fleet with all the faults, and what a reader fills in."""

    orders: Orders
    directory: Path
    values: dict[str, dict[str, str]]

    async def run(self, command: Command) -> tuple[int | None, str]:
        """Run a command as in a shell of the repository's directory."""
        fleet = self.orders.fleet
        path = (self.directory / "bin", Path(executable("orderfleet")).parent)
        child = await asyncio.create_subprocess_exec(
            *("bash", "-o", "pipefail", "-c", command.filled(self.values[command.runbook])),
            cwd=self.directory,
            stdout=PIPE,
            stderr=STDOUT,
            env={
                **environment(),
                "PATH": ":".join((*map(str, path), os.environ["PATH"])),
                "ORDERFLEET_URL": fleet.api_url,
                "TEMPORAL_ADDRESS": fleet.temporal_address,
                "DATABASE_URL": fleet.database_url,
                "LOGS": str(fleet.data / "logs"),
                # Of what `make test-replay` replays, the new case.
                "PYTEST_ARGS": "-k case",
            },
        )
        said, _ = await child.communicate()
        return child.returncode, said.decode()

    async def check(self, command: Command) -> None:
        """Run a command, and see that it says what it is there for."""
        status, said = await self.run(command)
        assert status == _of(_FAIL, command, 0), said
        assert _of(_SAID, command, "") in said, said
        # To unpause is to say nothing.
        assert said.strip() or " toggle " in command.text
        if command.text.startswith("orderfleet") and "make" not in command.text:
            assert "Traceback" not in said


def _of(table: dict[tuple[str, str], _T], command: Command, otherwise: _T) -> _T:
    found = (
        value
        for (runbook, beginning), value in table.items()
        if command.runbook == runbook and command.text.startswith(beginning)
    )
    return next(found, otherwise)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sick]:
    options = FleetOptions(
        data=tmp_path_factory.mktemp("fleet"),
        ports=Ports.anywhere(),
        env={
            "ORDERFLEET_GATEWAY_FAULTS": msgspec.json.encode(_FAULTS).decode(),
            "ORDERFLEET_EXPORTER_SECONDS": "1",
            "ORDERFLEET_VERSIONING": "on",
            "ORDERFLEET_RECONCILE_SECONDS": "1",
        },
        durable=True,
    )
    async with (
        run_fleet(options) as fleet,
        clients(fleet) as http,
        open_pool(fleet.database_url, size=2, wait_seconds=5) as pool,
    ):
        orders = Orders(http, pool, fleet)
        client = await Client.connect(fleet.temporal_address)
        plain = await orders.place("plain")
        assert (await orders.ended(plain))["state"] == "fulfilled"
        odd = await order_of_another_release(orders)
        unknown = [await unknown_workflow(client) for _ in range(2)]
        # Without a shipping worker an order times out, charged; its refund fails for ever.
        await fleet.stop("shipping-worker")
        placed = await asyncio.gather(orders.place("unpaid"), orders.place("hangs"))
        late, _ = [(await orders.ended(one))["state"] for one in placed]
        assert late == "timed_out"
        await fleet.start("shipping-worker")
        common = {"NAMESPACE": "default", "API_URL": fleet.api_url, "ORDER": plain}
        common["ORDER_TASK_QUEUE"] = ORDER_TASK_QUEUE
        current = (await view_queue(client, ORDER_TASK_QUEUE)).current
        assert current is not None
        common["BUILD"] = current.build
        own = {
            "RefundsPendingTooLong": {"ORDER": placed[0]},
            "ReconciliationNeeded": {"ORDER": unknown[0].id},
            "WorkerSlotsExhausted": {"ORDER": placed[1]},
            "WorkflowNonDeterminism": {"ORDER": odd.id},
            "WorkflowTaskFailures": {"ORDER": unknown[1].id, "ID": unknown[1].id},
        }
        values = {one.runbook: common | own.get(one.runbook, {}) for one in commands()}
        # A role without rights.
        env = {"DATABASE_URL": fleet.database_url}
        async with run_program("orderfleet-migrate", env=env) as migrate:
            assert await migrate.end() == 1
        with log_path(fleet.data, "migrate").open("a") as log:
            log.write("\n".join(migrate.lines))
        yield Sick(orders, _repository(tmp_path_factory.mktemp("repository")), values)


def _repository(directory: Path) -> Path:
    """Make a directory like the repository, whose histories may be added to."""
    for path in _ROOT.iterdir():
        if path.name not in {"tests", ".git", ".data"}:
            (directory / path.name).symlink_to(path)
    (directory / "tests").mkdir()
    for path in (_ROOT / "tests").iterdir():
        if path.name != "replay":
            (directory / "tests" / path.name).symlink_to(path)
    shutil.copytree(_ROOT / "tests" / "replay", directory / "tests" / "replay")
    (directory / "bin").mkdir()
    kubectl = directory / "bin" / "kubectl"
    kubectl.write_text(_KUBECTL)
    kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)
    return directory


async def test_while_postgres_is_away(sick: Sick) -> None:
    fleet = sick.orders.fleet
    await fleet.stop("postgres")
    logs = {name: fleet.log(name) for name in ("api", "order-worker")}

    async def told() -> bool:
        await sick.orders.http.get("/orders")
        said = {name: log.read_text().lower() for name, log in logs.items()}
        return (
            "source of metrics" in said["api"] and "reconciliation failed" in said["order-worker"]
        )

    try:
        await eventually(told, bool)
        for command in commands(Place.FLEET, Place.LOG):
            if command.runbook in _OUTAGE:
                await sick.check(command)
    finally:
        await fleet.start("postgres")
    # The run of ReconcileOrders that met the outage stays the last one for some seconds.
    doctor = next(one for one in commands(Place.FLEET) if one.text == "orderfleet doctor")
    await eventually(lambda: sick.run(doctor), lambda answer: answer[0] == 0)


@pytest.mark.parametrize(
    "command",
    [one for one in commands(Place.FLEET, Place.LOG) if one.runbook not in _OUTAGE],
    ids=str,
)
async def test_with_the_fault(sick: Sick, command: Command) -> None:
    await sick.check(command)


async def test_the_line_of_a_history_that_does_not_fit_names_its_order(sick: Sick) -> None:
    lines = sick.orders.fleet.log("order-worker").read_text().splitlines()
    found = [msgspec.json.decode(line) for line in lines if "TMPRL1100" in line]
    assert found
    odd = sick.values["WorkflowNonDeterminism"]["ORDER"]
    assert {line.get("order_id") for line in found} == {odd}
    assert {line["workflow_type"] for line in found} == {"OrderWorkflow"}
    assert all(line["failure"].startswith("[TMPRL1100] Nondeterminism error") for line in found)
    assert "Main St" not in str(found)
