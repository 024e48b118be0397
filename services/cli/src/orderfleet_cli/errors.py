"""Errors that end a command with one line, and the exit code that goes with each."""

from typing import Final

FAILED: Final = 1
WRONG_USAGE: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130


class CommandError(Exception):
    """An expected failure; its message is one line."""

    exit_code = FAILED


class UsageError(CommandError):
    """The command or a setting is wrong: repeating the command cannot help."""

    exit_code = WRONG_USAGE


class UnreachableError(CommandError):
    """The API, Temporal or Postgres is away: repeating the command may help."""

    exit_code = UNREACHABLE


class GatewayUnreachableError(CommandError):
    """A gateway is away, of which `doctor` knows nothing."""

    exit_code = UNREACHABLE


class StoppedError(Exception):
    """A signal stopped the command, and its clean-up is done."""
