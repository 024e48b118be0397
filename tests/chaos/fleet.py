"""The fleet that chaos disturbs: every process can be killed, stopped and cut off by itself."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from orderfleet_cli.errors import CommandError
from orderfleet_cli.local import Fleet, FleetOptions, Ports, run_fleet
from orderfleet_cli.local.ports import LOOPBACK, PortFinder, Say
from orderfleet_cli.local.processes import (
    Process,
    Program,
    answers,
    environment,
    executable,
    together,
)
from tests.chaos.invariants.log import AFTERMATH_SECONDS
from tests.chaos.plan import SERVERS, SERVICES, Disturbance, Kind
from tests.chaos.recording import MACHINE, POSTGRES, QUEUES, TEMPORAL, Absence
from tests.integration.support.proxy import Wire, wire_to

# A start can fail: the dead server's children may hold its memory for a moment.
_TRIES: Final = 5
_LOOK_SECONDS: Final = 0.1
# Where more wants to run than there are cores, this process is late as well.
_LAG_SECONDS: Final = 0.25


class ChaosFleet:
    """A fleet whose services reach both servers over wires that can be cut."""

    def __init__(self, fleet: Fleet, wires: Mapping[str, Wire], env: Mapping[str, str]) -> None:
        self.servers = fleet
        self.absences: list[Absence] = []
        self._wires = wires
        self._ports = PortFinder(print)
        self._api_port = self._ports.take("API", 0)
        self.api_url = f"http://{LOOPBACK}:{self._api_port}"
        self._env = environment(env) | {
            "DATABASE_URL": _through(fleet.database_url, wires[POSTGRES]),
            "TEMPORAL_ADDRESS": f"{LOOPBACK}:{wires[TEMPORAL].port}",
        }
        self._services = {name: self._service(name) for name in SERVICES}
        self._busy: set[str] = set()

    async def open(self) -> None:
        """Start all services at once."""
        await together(*(service.start() for service in self._services.values()))

    async def close(self) -> None:
        """Kill the services: nothing of them is wanted any more."""
        await asyncio.gather(*(service.stop(signal.SIGKILL) for service in self._services.values()))

    async def disturb(self, what: Disturbance) -> bool:
        """Do it and mend it; return False if that would be an outage that the plan does not want.

        Of the servers one is disturbed at a time, and of the workers of a queue. That holds for as
        long as its clients need to notice that it is back.
        """
        taken = _group(what.target)
        if self._busy & taken:
            return False
        self._busy |= taken
        since = time.time()
        targets = QUEUES.get(what.target, (what.target,))
        try:
            await asyncio.gather(*(self._do(what.kind, each, what.seconds) for each in targets))
        finally:
            self.absences.append(
                Absence(what=what.target, since=since, until=time.time(), how=what.kind)
            )
        await asyncio.sleep(AFTERMATH_SECONDS)
        self._busy -= taken
        return True

    async def watch_machine(self) -> None:
        """Note the times in which this process itself did not run, until cancelled."""
        while True:
            before = time.time()
            await asyncio.sleep(_LOOK_SECONDS)
            if (now := time.time()) - before > _LAG_SECONDS:
                self.absences.append(
                    Absence(what=MACHINE, since=before, until=now, how="does not run")
                )

    async def _do(self, kind: Kind, target: str, seconds: float) -> None:
        match kind:
            case Kind.KILL | Kind.RESTART:
                await self._stop(target, signal.SIGKILL if kind is Kind.KILL else None)
                await asyncio.sleep(seconds)
                await self._start(target)
            case Kind.FREEZE:
                await self._freeze(target, seconds)
            case Kind.CUT | Kind.SWALLOW:
                wire = self._wires[target]
                if kind is Kind.SWALLOW:
                    wire.swallow()
                    await asyncio.sleep(seconds)
                # A stream of bytes with a hole in it is of no use.
                await wire.cut()
                if kind is Kind.CUT:
                    await asyncio.sleep(seconds)
                await wire.mend()

    async def _freeze(self, target: str, seconds: float) -> None:
        """Stop a process and its children, and let them go on."""
        root = psutil.Process(self._pid(target))
        pids = [process.pid for process in (root, *root.children(recursive=True))]
        _signal(pids, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            _signal(pids, signal.SIGCONT)

    async def _stop(self, target: str, number: signal.Signals | None = None) -> None:
        if target in SERVERS:
            await self.servers.stop(target, number)
        else:
            await self._services[target].stop(number)

    async def _start(self, target: str) -> None:
        for left in reversed(range(_TRIES)):
            try:
                if target in SERVERS:
                    await self.servers.start(target)
                else:
                    await self._services[target].start()
            except CommandError:
                if not left:
                    raise
                await self._stop(target, signal.SIGKILL)
                await asyncio.sleep(1)
            else:
                return

    def _pid(self, target: str) -> int:
        return self.servers.pid(target) if target in SERVERS else self._services[target].pid

    def _service(self, name: str) -> Process:
        port = self._ports.take(f"probes of {name}", 0)

        async def ready() -> bool:
            return await answers(port, "/readyz")

        env = self._env | {
            "ORDERFLEET_API_HOST": LOOPBACK,
            "ORDERFLEET_API_PORT": str(self._api_port),
            "ORDERFLEET_PROBE_HOST": LOOPBACK,
            "ORDERFLEET_PROBE_PORT": str(port),
            "ORDERFLEET_LOG_FORMAT": "json",
        }
        command = "orderfleet-" + re.sub(r"-\d+$", "", name)
        program = Program(name=name, argv=(executable(command),), env=env, ready=ready)
        return Process(program, self.servers.data)


@asynccontextmanager
async def run_chaos_fleet(
    data: Path, env: Mapping[str, str], say: Say
) -> AsyncIterator[ChaosFleet]:
    """Run the servers of a local fleet, wires to them, and the services behind these."""
    options = FleetOptions(
        data=data, ports=Ports.anywhere(), services=(), durable=True, fresh=True, say=say
    )
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(run_fleet(options))
        wires = {
            POSTGRES: await stack.enter_async_context(wire_to(_port(servers.database_url))),
            TEMPORAL: await stack.enter_async_context(
                wire_to(_port(f"//{servers.temporal_address}"))
            ),
        }
        fleet = ChaosFleet(servers, wires, env)
        stack.push_async_callback(fleet.close)
        await fleet.open()
        yield fleet


def _group(target: str) -> set[str]:
    """Return what must not be disturbed at the same time."""
    groups = [set(SERVERS), *({queue, *workers} for queue, workers in QUEUES.items())]
    return next((group for group in groups if target in group), {target})


def _port(url: str) -> int:
    port = urlsplit(url).port
    if port is None:
        raise CommandError(f"{url} has no port")
    return port


def _through(url: str, wire: Wire) -> str:
    return url.replace(f":{_port(url)}/", f":{wire.port}/")


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
