"""Workers of builds, as pods: started again when they exit, killed at their memory limit."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Final

import psutil

from orderfleet.domain.contract import ORDER_TASK_QUEUE, SHIPPING_TASK_QUEUE
from orderfleet_cli.errors import CommandError
from orderfleet_cli.local import Fleet
from orderfleet_cli.local.ports import LOOPBACK, PortFinder
from orderfleet_cli.local.processes import Process, Program, answers, environment, executable
from tests.images.services import ROOT
from tests.support.builds import CORE, ORDER_WORKER, SHIPPING_WORKER, WORKERS, Build

# As the kubelet does: at once after the first exit, then with back-off.
_PAUSES: Final = (0.0, 10.0, 20.0)
_LONGEST_PAUSE: Final = 40.0
# The chart's limit.
_LIMIT_BYTES: Final = 512 * 2**20
_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Service:
    """A worker's programs and its queue."""

    folder: str
    queue: str

    @property
    def name(self) -> str:
        return self.folder.replace("_", "-")

    @property
    def program(self) -> str:
        return f"orderfleet-{self.name}"

    @property
    def gate(self) -> str:
        return self.program.replace("-worker", "-gate")


SERVICES: Final = {
    ORDER_WORKER: Service(ORDER_WORKER, ORDER_TASK_QUEUE),
    SHIPPING_WORKER: Service(SHIPPING_WORKER, SHIPPING_TASK_QUEUE),
}


@dataclass(frozen=True)
class Source:
    """The sources that a program runs: those of a build, or today's."""

    name: str
    services: Path | None = None

    @property
    def env(self) -> dict[str, str]:
        if self.services is None:
            return {}
        paths = [str(self.services / service / "src") for service in (CORE, *WORKERS)]
        return {"PYTHONPATH": os.pathsep.join(paths)}


def edited(build: Build, directory: Path) -> Source:
    """Copy today's sources and edit them."""
    for service in (CORE, *WORKERS):
        unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
        path = f"{service}/src"
        shutil.copytree(ROOT / "services" / path, directory / path, ignore=unwanted)
    build.apply(directory)
    return Source(build.name, directory)


class Worker:
    """The pod of a worker."""

    def __init__(
        self, fleet: Fleet, ports: PortFinder, service: Service, name: str, env: Mapping[str, str]
    ) -> None:
        self.pids: set[int] = set()
        self.exits = 0
        self._port = ports.take(name, 0)
        own = {"ORDERFLEET_PROBE_HOST": LOOPBACK, "ORDERFLEET_PROBE_PORT": str(self._port)}
        program = Program(
            name=name,
            argv=(executable(service.program),),
            env=environment() | dict(env) | own,
            ready=self._live,
        )
        self._process = Process(program, fleet.data)
        self._running: asyncio.Task[None] | None = None

    @property
    def polling_since(self) -> datetime | None:
        """When the worker first polled; None if it never came so far."""
        times = [line["timestamp"] for line in self._log() if line.get("event") == "polling"]
        return datetime.fromisoformat(times[0]) if times else None

    async def ready(self) -> bool:
        return await answers(self._port, "/readyz")

    def start(self) -> None:
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> int:
        """Stop the worker as Kubernetes does, and return its exit status."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        return await self._process.stop()

    async def _run(self) -> None:
        for pause in chain(_PAUSES, repeat(_LONGEST_PAUSE)):
            # It exited before it was live, maybe.
            with suppress(CommandError):
                await self._process.start()
            while self._process.running:
                self._limit_memory()
                await asyncio.sleep(_LOOK_SECONDS)
            self.exits += 1
            await asyncio.sleep(pause)

    def _limit_memory(self) -> None:
        """Kill the worker as the kernel does at the limit of its pod."""
        with suppress(CommandError, psutil.NoSuchProcess):
            pid = self._process.pid
            if psutil.Process(pid).memory_info().rss > _LIMIT_BYTES:
                os.kill(pid, signal.SIGKILL)

    async def _live(self) -> bool:
        with suppress(CommandError):
            self.pids.add(self._process.pid)
        return await answers(self._port, "/livez")

    def _log(self) -> Iterator[dict[str, Any]]:
        if not self._process.log.exists():
            return
        for line in self._process.log.read_text().splitlines():
            # A traceback of a crash is no JSON.
            with suppress(json.JSONDecodeError):
                yield json.loads(line)
