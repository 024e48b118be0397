"""The workers of a fleet, and the upgrade of them to another build."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec
from temporalio.client import Client

from orderfleet.gateways.simulated import Fault
from orderfleet.versions.deployments import Deployment, deployment_name, describe_deployment
from orderfleet_cli.local import Fleet
from orderfleet_cli.local.ports import PortFinder
from tests.e2e.support.orders import eventually
from tests.e2e.support.programs import run_program
from tests.support.builds import WORKERS
from tests.versions.support.workers import SERVICES, Source, Worker

TODAY: Final = Source("today")
# A gate waits at most so long for a first poll, replays for 20 s and watches for 60 s.
GATE_WAIT_SECONDS: Final = 20.0
_GATE_SECONDS: Final = 105.0
# Orders of this kind end unfulfilled, and their refunds take 13 s.
REFUNDED: Final = "refunded"
_FAULTS: Final = (
    Fault(at="dispatch", kind="refuse", orders=f"{REFUNDED}-*"),
    Fault(at="refund", kind="fail_before", orders=f"{REFUNDED}-*", times=6),
)
_ENV: Final = {
    "ORDERFLEET_VERSIONING": "on",
    "ORDERFLEET_VERSION_PROMOTION": "gate",
    "ORDERFLEET_GATEWAY_FAULTS": msgspec.json.encode(_FAULTS).decode(),
    "ORDERFLEET_LOG_FORMAT": "json",
}


@dataclass(frozen=True)
class GateEnd:
    """What became of a gate."""

    status: int
    # The last line of its log.
    reason: str
    lines: list[str]
    at: datetime


@dataclass(frozen=True)
class Upgrade:
    """A build beside the current one, by service: its workers and the ends of its gates."""

    began: datetime
    workers: Mapping[str, Worker]
    gates: Mapping[str, GateEnd]

    @property
    def pids(self) -> set[int]:
        return {pid for worker in self.workers.values() for pid in worker.pids}

    @property
    def passed(self) -> list[str]:
        """The services whose build is current now."""
        return [folder for folder, gate in self.gates.items() if gate.status == 0]

    @property
    def seconds(self) -> float:
        """The time from a worker's first poll to the end of its gate, the longest."""
        return max(
            (gate.at - (self.workers[folder].polling_since or self.began)).total_seconds()
            for folder, gate in self.gates.items()
        )


class Stage:
    """The workers of a fleet, one for each service."""

    def __init__(self, fleet: Fleet, temporal: Client) -> None:
        self.fleet = fleet
        self.temporal = temporal
        # Those of the current builds.
        self.workers: dict[str, Worker] = {}
        self._env = _ENV | {
            "DATABASE_URL": fleet.database_url,
            "TEMPORAL_ADDRESS": fleet.temporal_address,
        }
        self._ports = PortFinder(print)
        self._started: list[Worker] = []

    async def open(self) -> None:
        """Start today's workers; the first builds need no gate."""
        self.workers = {folder: self._start(folder, TODAY) for folder in WORKERS}
        await _until_ready(self.workers)

    async def close(self) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._started))

    async def routing(self, folder: str) -> Deployment:
        return await describe_deployment(self.temporal, deployment_name(SERVICES[folder].queue))

    @asynccontextmanager
    async def upgrade(self, source: Source, folders: Sequence[str]) -> AsyncIterator[Upgrade]:
        """Do what the chart does: migrate, start pods and gates, and wait for the gates.

        At the end of the block new workers that did not replace the old ones are stopped, as
        `helm rollback` does.
        """
        await self._migrate(source)
        began = datetime.now(UTC)
        workers = {folder: self._start(folder, source) for folder in folders}
        try:
            ends = await asyncio.gather(*(self._gate(folder, source) for folder in folders))
            yield Upgrade(began, workers, dict(zip(folders, ends, strict=True)))
        finally:
            kept = self.workers.values()
            await asyncio.gather(
                *(worker.stop() for worker in workers.values() if worker not in kept)
            )

    async def replace(self, upgrade: Upgrade) -> list[int]:
        """Stop the old workers once the new ones are ready; return the exit statuses."""
        new = {folder: upgrade.workers[folder] for folder in upgrade.passed}
        await _until_ready(new)
        old = [self.workers[folder] for folder in new]
        self.workers |= new
        return await asyncio.gather(*(worker.stop() for worker in old))

    def _start(self, folder: str, source: Source) -> Worker:
        service = SERVICES[folder]
        name = f"{service.name}-{source.name}-{len(self._started)}"
        worker = Worker(self.fleet, self._ports, service, name, self._env | source.env)
        self._started.append(worker)
        worker.start()
        return worker

    async def _migrate(self, source: Source) -> None:
        env = source.env | {"DATABASE_URL": self.fleet.owner_database_url}
        async with run_program("orderfleet-migrate", env=env) as migration:
            assert await migration.end() == 0, migration.lines

    async def _gate(self, folder: str, source: Source) -> GateEnd:
        wait = {"ORDERFLEET_GATE_WAIT_SECONDS": str(GATE_WAIT_SECONDS)}
        program = SERVICES[folder].gate
        async with run_program(program, env=self._env | source.env | wait) as gate:
            status = await gate.end(_GATE_SECONDS)
        return GateEnd(status, gate.lines[-1], gate.lines, datetime.now(UTC))


async def _until_ready(workers: Mapping[str, Worker]) -> None:
    async def ready() -> bool:
        return all([await worker.ready() for worker in workers.values()])

    await eventually(ready, bool)
