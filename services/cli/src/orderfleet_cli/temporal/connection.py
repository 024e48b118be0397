"""Temporal as a command reaches it: bounded in time, and one line when it says no."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

import msgspec
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
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


async def open_temporal() -> Client:
    """Connect to the Temporal that the settings name.

    Raises:
        UnreachableError: it does not answer.
        UsageError: a setting is wrong, or it will not have us.
    """
    # One try: a person sees the answer and can repeat the command.
    settings = msgspec.structs.replace(read(CommonSettings), start_wait_seconds=0)
    return await ask(connect(settings), address=settings.temporal_address)


async def ask(call: Awaitable[T], *, address: str = "") -> T:
    """Await a call of Temporal.

    Raises:
        CommandError: Temporal does not know what is asked for.
        UnreachableError: it does not answer.
        UsageError: it refuses to.
    """
    where = f"Temporal at {address}" if address else "Temporal"
    try:
        async with asyncio.timeout(_SECONDS):
            return await call
    except TimeoutError:
        raise UnreachableError(f"{where} does not answer") from None
    except RPCError as error:
        message = f"{where}: {one_line(error.message)}"
        if error.status in _AWAY:
            raise UnreachableError(message) from None
        if error.status in _WRONG:
            raise UsageError(message) from None
        raise CommandError(message) from None
    except (RuntimeError, ValueError) as error:
        # The SDK's words for an address or a TLS setting that it cannot use.
        raise UsageError(f"{where}: {one_line(str(error))}") from None
