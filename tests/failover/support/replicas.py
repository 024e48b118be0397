"""A second Postgres that follows the fleet's by streaming replication, until it is promoted."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import psutil

from orderfleet.store.pool import UNAVAILABLE
from orderfleet_cli.local import Fleet
from orderfleet_cli.local.ports import LOOPBACK, PortFinder
from orderfleet_cli.local.postgres import as_user, binaries
from orderfleet_cli.local.processes import Process, Program, environment, run_once
from tests.e2e.support.orders import eventually
from tests.integration.support.ill import administer

_RULE: Final = "host replication all 127.0.0.1/32 scram-sha-256\n"
_SENDER: Final = "SELECT pid FROM pg_stat_replication WHERE state = 'streaming'"
_RELOAD: Final = "SELECT pg_reload_conf()"


class Replicas:
    """The fleet's Postgres as the primary, and its standby."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._owner_url = fleet.owner_database_url
        self._port = PortFinder(print).take("standby", 0)
        self._directory = fleet.data / "standby"
        self._env = environment() | {"LC_ALL": "C"}
        program = Program(
            name="standby",
            argv=(
                *as_user(),
                str(binaries() / "postgres"),
                *("-D", str(self._directory), "-h", LOOPBACK, "-p", str(self._port), "-k", ""),
            ),
            env=self._env,
            ready=self._answers,
            stop_signal=signal.SIGINT,
        )
        self.process = Process(program, fleet.data)

    @property
    def url(self) -> str:
        """Both hosts, for the fleet."""
        return f"{self._at_both(self._fleet.database_url)}?target_session_attrs=primary"

    @property
    def owner_url(self) -> str:
        """Both hosts, for the owner."""
        return self._at_both(self._owner_url)

    @property
    def standby_url(self) -> str:
        """The standby, for the owner."""
        return self._owner_url.replace(self._primary, f"{LOOPBACK}:{self._port}")

    async def open(self) -> None:
        """Copy the primary, and follow it."""
        rules = self._fleet.data / "postgres/pg_hba.conf"
        rules.write_text(rules.read_text() + _RULE)
        await administer(self._owner_url, _RELOAD)
        copy = (
            *as_user(),
            str(binaries() / "pg_basebackup"),
            *("-D", str(self._directory), "-d", self._owner_url, "-R", "-X", "stream"),
            *("-c", "fast", "--no-sync"),
        )
        await run_once("basebackup", copy, self._env, self._fleet.data)
        await self.process.start()
        await eventually(lambda: administer(self._owner_url, _SENDER), bool)

    async def synchronous(self) -> None:
        """Let each commit wait for the standby from now on."""
        await administer(
            self._owner_url, "ALTER SYSTEM SET synchronous_standby_names = '*'", _RELOAD
        )
        state = "SELECT sync_state = 'sync' FROM pg_stat_replication"
        await eventually(lambda: administer(self._owner_url, state), bool)

    async def stop_sending(self) -> None:
        """Let the standby hear of no later commit; the primary does not wait for it."""
        os.kill(await administer(self._owner_url, _SENDER), signal.SIGSTOP)

    async def kill_primary(self) -> None:
        """Kill all its processes at once."""
        postmaster = psutil.Process(self._fleet.pid("postgres"))
        for process in (postmaster, *postmaster.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        await self._fleet.stop("postgres", signal.SIGKILL)

    async def promote(self) -> None:
        """Make the standby the primary."""
        await administer(self.standby_url, "SELECT pg_promote()")

    @property
    def _primary(self) -> str:
        return urlsplit(self._owner_url).netloc.rpartition("@")[2]

    def _at_both(self, url: str) -> str:
        return url.replace(self._primary, f"{self._primary},{LOOPBACK}:{self._port}")

    async def _answers(self) -> bool:
        with suppress(*UNAVAILABLE, asyncpg.PostgresError):
            await administer(self.standby_url, "SELECT 1")
            return True
        return False


@asynccontextmanager
async def run_replicas(fleet: Fleet) -> AsyncIterator[Replicas]:
    """Run a standby beside the fleet's Postgres until the block ends."""
    replicas = Replicas(fleet)
    try:
        await replicas.open()
        yield replicas
    finally:
        await replicas.process.stop()
