"""The databases of a fleet: how a command and Postgres' own programs reach them."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import asyncpg

from orderfleet.environment import SettingsError
from orderfleet.settings import CommonSettings
from orderfleet.store.password import load_password
from orderfleet.store.pool import UNAVAILABLE, Connection, connect
from orderfleet.watched_files import explain, read_line
from orderfleet_cli.backup.manifest import Kind
from orderfleet_cli.errors import CommandError, UnreachableError, UsageError
from orderfleet_cli.fleet_addresses import local_data
from orderfleet_cli.local.postgres import Postgres
from orderfleet_cli.printing import one_line
from orderfleet_cli.settings import BackupSettings, read

_CONNECT_SECONDS: Final = 5.0
_PGPASSWORD: Final = "PGPASSWORD"
_PASSWORD: Final = "password"  # noqa: S105 (a parameter's name)


@dataclass(frozen=True)
class Database:
    """A database with the password of its user; it is not in the URL."""

    kind: Kind
    url: str
    password: str | None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a program of Postgres: no argument has the password."""
        own = {name: value for name, value in os.environ.items() if name != _PGPASSWORD}
        return own if self.password is None else own | {_PGPASSWORD: self.password}

    @property
    def login_url(self) -> str:
        """The URL with the password, for this process only."""
        if self.password is None:
            return self.url
        parts = urlsplit(self.url)
        user, _, hosts = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(self.password, safe='')}@{hosts}"))

    @property
    def shown(self) -> str:
        """The database with its server, without the user."""
        parts = urlsplit(self.url)
        return parts.netloc.rpartition("@")[2] + parts.path


def make_database(kind: Kind, url: str, password: str | None = None) -> Database:
    """Return a database; a password in its URL moves out of there."""
    parts = urlsplit(url.replace("+asyncpg", "", 1))
    login, at, hosts = parts.netloc.rpartition("@")
    user, colon, in_login = login.partition(":")
    query = parse_qsl(parts.query)
    in_query = dict(query).get(_PASSWORD)
    kept = urlencode([pair for pair in query if pair[0] != _PASSWORD])
    bare = urlunsplit(parts._replace(netloc=f"{user}{at}{hosts}", query=kept))
    return Database(kind, bare, password or (unquote(in_login) if colon else in_query))


def fleet_database() -> Database:
    """Return the fleet's database; of the fleet that runs in this directory, as its owner.

    Raises:
        UsageError: a setting is wrong.
    """
    settings = read(CommonSettings)
    if data := local_data(settings.database_url):
        port = urlsplit(settings.database_url).port
        return make_database(Kind.FLEET, Postgres(data, port or 0).url())
    try:
        file = load_password(settings)
    except SettingsError as error:
        raise UsageError(one_line(str(error))) from None
    password = os.environ.get(_PGPASSWORD) if file is None else file.get()
    return make_database(Kind.FLEET, settings.database_url, password)


def temporal_databases() -> list[Database]:
    """Return Temporal's databases, none if no setting names them.

    Raises:
        UsageError: a setting is wrong.
    """
    settings = read(BackupSettings)
    password = None
    if settings.temporal_database_password_file:
        try:
            password = read_line(Path(settings.temporal_database_password_file))
        except (OSError, ValueError) as error:
            name = "ORDERFLEET_TEMPORAL_DATABASE_PASSWORD_FILE"
            raise UsageError(f"{name}: {explain(error)}") from None
    urls = {
        Kind.TEMPORAL: settings.temporal_database_url,
        Kind.VISIBILITY: settings.visibility_database_url,
    }
    return [make_database(kind, url, password) for kind, url in urls.items() if url]


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator[Connection]:
    """Connect to a database for the block, whose errors become one line.

    Raises:
        UnreachableError: it does not answer.
        CommandError: it refuses a statement of the block.
    """
    try:
        connection = await connect(database.login_url, seconds=_CONNECT_SECONDS)
        try:
            yield connection
        finally:
            await connection.close(timeout=_CONNECT_SECONDS)
    except UNAVAILABLE as error:
        reason = one_line(str(error)) or type(error).__name__
        raise UnreachableError(f"{database.kind}: {database.shown}: {reason}") from None
    except asyncpg.PostgresError as error:
        raise CommandError(f"{database.kind}: {one_line(str(error))}") from None


def check_distinct(databases: Iterable[Database]) -> None:
    """Refuse two databases that are the same: the second would replace the first.

    Raises:
        UsageError: two are.
    """
    kinds: dict[str, Kind] = {}
    for database in databases:
        other = kinds.setdefault(database.shown, database.kind)
        if other is not database.kind:
            raise UsageError(f"{other} and {database.kind} are the same database")
