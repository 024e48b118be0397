"""The whole system as child processes: Postgres and Temporal, the migrations, the services."""

import asyncio
import re
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orderfleet.settings import PAYLOAD_KEYS_FILE
from orderfleet.temporal.payload_keys import make_key
from orderfleet_cli.errors import CommandError
from orderfleet_cli.fleet_addresses import (
    DATABASE,
    INTERNAL_URL,
    TEMPORAL,
    URL,
    hold_addresses,
    remove_addresses,
    write_addresses,
)
from orderfleet_cli.local.pid_files import lock_directory
from orderfleet_cli.local.ports import LOOPBACK, PortFinder, Say
from orderfleet_cli.local.postgres import ROLE, Postgres
from orderfleet_cli.local.processes import (
    Process,
    Program,
    answers,
    environment,
    executable,
    together,
)
from orderfleet_cli.local.temporal import Temporal
from orderfleet_cli.private_files import file_errors, private_umask, write_private

_SHIPPING: Final = "shipping-worker"
SERVICES: Final = ("api", "order-worker", _SHIPPING)
_LOCK: Final = "lock"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The preferred ports; the next free one replaces one that is in use, 0 is any free one."""

    api: int = 8000
    postgres: int = 5432
    temporal: int = 7233
    temporal_ui: int = 8233
    probes: int = 9090

    @classmethod
    def anywhere(cls) -> "Ports":
        """Return free ports, for tests."""
        return cls(api=0, postgres=0, temporal=0, temporal_ui=0, probes=0)


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """What to run.

    A service may run more than once: `order-worker-2` is a second `order-worker`. The services get
    `env` on top of this process's environment. `durable` data survives a power cut and the next
    start; `fresh` removes what a former run left in `data`.
    """

    data: Path
    env: Mapping[str, str] = field(default_factory=dict)
    ports: Ports = field(default_factory=Ports)
    services: tuple[str, ...] = SERVICES
    durable: bool = False
    fresh: bool = False
    say: Say = print


class Fleet:
    """A fleet: its addresses, and its processes to stop and start."""

    def __init__(self, options: FleetOptions) -> None:
        self.data = options.data
        self._say = options.say
        self._env = environment(options.env)
        encrypted = bool(self._env.get(PAYLOAD_KEYS_FILE))
        find = PortFinder(options.say)
        self._api_port = find.take("API", options.ports.api)
        temporal = find.take("Temporal", options.ports.temporal)
        ui = find.take("Temporal UI", options.ports.temporal_ui)
        postgres = find.take("Postgres", options.ports.postgres)
        self._postgres = Postgres(self.data, postgres, durable=options.durable)
        self.api_url = f"http://{LOOPBACK}:{self._api_port}"
        codec = f"{self.api_url}/codec" if encrypted else ""
        self._temporal = Temporal(self.data, temporal, ui, durable=options.durable, codec=codec)
        self.temporal_address = self._temporal.address
        self.temporal_ui_url = self._temporal.ui_url
        self.database_url = self._postgres.url(user=ROLE)
        self.owner_database_url = self._postgres.url()
        self.psql = self._postgres.psql
        self.probe_urls: dict[str, str] = {}
        self._services = {name: self._service(name, find, options) for name in options.services}
        self._processes = {
            "postgres": self._postgres.process,
            "temporal": self._temporal.process,
            **self._services,
        }

    @property
    def addresses(self) -> dict[str, str]:
        """Its addresses, as settings of a client."""
        return {
            URL: self.api_url,
            INTERNAL_URL: self.probe_urls.get("api", ""),
            TEMPORAL: self.temporal_address,
            DATABASE: self.database_url,
        }

    async def start(self, name: str, env: Mapping[str, str] | None = None) -> None:
        """Start a stopped process, with `env` on top of its own, and wait until it is ready."""
        await self._process(name).start(env)

    async def stop(self, name: str, number: signal.Signals | None = None) -> int:
        """Stop a process by a signal, its own by default, and return its exit status."""
        return await self._process(name).stop(number)

    def pid(self, name: str) -> int:
        """Return the pid of a running process."""
        return self._process(name).pid

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self._process(name).log

    async def keep(self) -> None:
        """Restart every process that exits, until this is cancelled."""
        await together(*(process.keep(self._say) for process in self._processes.values()))

    async def open(self) -> None:
        """Start all processes: servers first, then the services, each group concurrently."""
        await together(self._open_postgres(), self._temporal.start())
        await together(*(service.start() for service in self._services.values()))

    async def close(self) -> None:
        """Stop all processes, the services first, so that they can drain.

        Shipping comes last of them: a versioned order worker stops once its orders have ended.
        """
        self._say("stopping")
        last = [name for name in self._services if name.startswith(_SHIPPING)]
        for names in (self._services.keys() - last, last):
            await asyncio.gather(*(self._services[name].stop() for name in names))
        await self._temporal.process.stop()
        await self._postgres.process.stop()

    async def _open_postgres(self) -> None:
        await self._postgres.start()
        await self._postgres.create_database()
        await self._postgres.migrate()

    def _service(self, name: str, find: PortFinder, options: FleetOptions) -> Process:
        # One port each, in order: 9090, 9091, 9092.
        first = options.ports.probes
        preferred = first and first + options.services.index(name)
        port = find.take(f"probes of {name}", preferred)
        self.probe_urls[name] = f"http://{LOOPBACK}:{port}"

        async def ready() -> bool:
            return await answers(port, "/readyz")

        command = "orderfleet-" + re.sub(r"-\d+$", "", name)
        env = self._env | {
            "DATABASE_URL": self.database_url,
            "TEMPORAL_ADDRESS": self.temporal_address,
            "ORDERFLEET_API_HOST": LOOPBACK,
            "ORDERFLEET_API_PORT": str(self._api_port),
            "ORDERFLEET_CODEC_ORIGIN": self.temporal_ui_url,
            "ORDERFLEET_TEMPORAL_UI_URL": self.temporal_ui_url,
            "ORDERFLEET_PROBE_HOST": LOOPBACK,
            "ORDERFLEET_PROBE_PORT": str(port),
            "ORDERFLEET_LOG_FORMAT": "json",
        }
        return Process(
            Program(name=name, argv=(executable(command),), env=env, ready=ready), self.data
        )

    def _process(self, name: str) -> Process:
        if name not in self._processes:
            raise CommandError(f"no process {name!r}; choose from {', '.join(self._processes)}")
        return self._processes[name]


@asynccontextmanager
async def run_fleet(options: FleetOptions) -> AsyncIterator[Fleet]:
    """Run the fleet until the block ends; first stop what a crashed run left in `data`.

    Raises:
        CommandError: the data directory is in use, or a process did not start.
    """
    # The files of Postgres and Temporal are private too.
    with private_umask(), lock_directory(options.data):
        if options.fresh:
            _empty(options.data)
        # Old logs would show errors that are long gone.
        shutil.rmtree(options.data / "logs", ignore_errors=True)
        _make_payload_keys(options)
        fleet = Fleet(options)
        try:
            await fleet.open()
            write_addresses(options.data, fleet.addresses)
            with hold_addresses(options.data):
                yield fleet
        finally:
            remove_addresses(options.data)
            await fleet.close()


def _make_payload_keys(options: FleetOptions) -> None:
    """Make the file of payload keys that the environment names, if it is missing."""
    path = Path(environment(options.env).get(PAYLOAD_KEYS_FILE, ""))
    # Without a name, it is the current directory.
    if not path.exists():
        write_private(path, f"{make_key()}\n")
        options.say(f"made a payload key: {path}")


@file_errors()
def _empty(data: Path) -> None:
    for path in data.iterdir():
        if path.name in {_LOCK, "run"}:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
