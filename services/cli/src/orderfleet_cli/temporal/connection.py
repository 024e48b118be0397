"""Call Temporal from a command: each call has a timeout, each error is one line."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

import msgspec
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.environment import SettingsError
from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
from orderfleet.temporal.failure_converter import PayloadKeyError
from orderfleet.temporal.payload_keys import PayloadKeys
from orderfleet_cli.errors import CommandError, UnreachableError, UsageError
from orderfleet_cli.printing import one_line
from orderfleet_cli.settings import read

T = TypeVar("T")

_SECONDS: Final = 5.0
_AWAY: Final = frozenset(
    {
        RPCStatusCode.CANCELLED,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.UNAVAILABLE,
    }
)
_WRONG: Final = frozenset(
    {
        RPCStatusCode.INVALID_ARGUMENT,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
    }
)


async def open_temporal(keys: PayloadKeys | None = None) -> Client:
    """Connect to the Temporal that the settings name, with these payload keys or the settings' own.

    Raises:
        UnreachableError: it does not answer.
        UsageError: a setting is wrong, or it refuses this client.
    """
    # One attempt: a person sees the error and can repeat the command.
    settings = msgspec.structs.replace(read(CommonSettings), start_wait_seconds=0)
    address = settings.temporal_address
    try:
        keys = keys or PayloadKeys.from_settings(settings)
    except SettingsError as error:
        raise UsageError(one_line(str(error))) from None
    try:
        async with asyncio.timeout(_SECONDS):
            return await connect(settings, keys=keys)
    except TimeoutError as error:
        reason = one_line(str(error.__cause__ or "")) or f"no answer in {_SECONDS:g} s"
        raise UnreachableError(f"cannot reach Temporal at {address}: {reason}") from None
    except ValueError as error:
        # The SDK's error for an unusable address or TLS setting.
        raise UsageError(f"Temporal at {address}: {one_line(str(error))}") from None
    except OSError as error:
        # A file that TEMPORAL_TLS_* names.
        raise UsageError(f"{error.filename}: {error.strerror}") from None


async def call_temporal(call: Awaitable[T]) -> T:
    """Await a call of Temporal.

    Raises:
        CommandError: Temporal does not have what the call names.
        UnreachableError: it does not answer.
        UsageError: it refuses the call.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            return await call
    except TimeoutError:
        raise UnreachableError(f"Temporal: no answer in {_SECONDS:g} s") from None
    except RPCError as error:
        message = f"Temporal: {one_line(error.message)}"
        if error.status in _AWAY:
            raise UnreachableError(message) from None
        if error.status in _WRONG:
            raise UsageError(message) from None
        raise CommandError(message) from None
    except PayloadKeyError as error:
        raise CommandError(f"Temporal: {error}") from None
