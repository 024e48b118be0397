"""What a user is told in one line, and the exit code that goes with it."""

from typing import Final

FAILED: Final = 1
WRONG_USAGE: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130


class CommandError(Exception):
    """A failure that is expected to happen; its message is one line."""

    exit_code = FAILED


class UsageError(CommandError):
    """The command or a setting is wrong: the same again will fail again."""

    exit_code = WRONG_USAGE


class UnreachableError(CommandError):
    """The API, Temporal or Postgres is away: the same again may work."""

    exit_code = UNREACHABLE


class StoppedError(Exception):
    """A signal asked for the end, and all is cleaned up."""
