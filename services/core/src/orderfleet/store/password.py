"""A password of Postgres from a file, which may change before or after the server's."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import asyncpg

from orderfleet.polling import retry
from orderfleet.settings import DATABASE_PASSWORD_FILE, CommonSettings, naming
from orderfleet.watched_files import WatchedFiles, read_line

T = TypeVar("T")

Password: TypeAlias = WatchedFiles[str]

_PAUSE_SECONDS: Final = 0.2


def load_password(settings: CommonSettings) -> Password | None:
    """Return the password's file; None if the password is in the URL or in PGPASSWORD.

    Raises:
        SettingsError: the file cannot be read, or does not hold one line.
    """
    if not settings.database_password_file:
        return None
    path = Path(settings.database_password_file)
    with naming(DATABASE_PASSWORD_FILE):
        return WatchedFiles("database_password", [path], lambda: read_line(path))


async def with_password(
    connect: Callable[[str], Awaitable[T]], password: Password, *, seconds: float
) -> T:
    """Connect with the file's password, or with the one before.

    The file may change before the server does, and the server before the file, which Kubernetes
    updates up to a minute and a half after the Secret. So a refusal is repeated for `seconds`.

    Raises:
        InvalidPasswordError: the server refuses both.
    """

    async def attempt() -> T:
        current, previous = password.get(_PAUSE_SECONDS), password.previous
        try:
            return await connect(current)
        except asyncpg.InvalidPasswordError:
            if previous is None or previous == current:
                raise
        return await connect(previous)

    return await retry(
        attempt, on=asyncpg.InvalidPasswordError, seconds=seconds, pause=_PAUSE_SECONDS
    )
