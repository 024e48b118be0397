"""`orderfleet-wait`: hold a start back until Postgres or Temporal is as this release needs it.

The init container of the API and of the workers. A Postgres that answers is not enough: its schema
comes from a Job of its own, and so do Temporal's namespace and search attribute.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog
from asyncpg import PostgresError
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain.contract import ORDER_STATE
from orderfleet.environment import SettingsError, load_settings_and_names
from orderfleet.observability.logging import configure_logs
from orderfleet.polling import poll
from orderfleet.runtime.process import run_service
from orderfleet.settings import CommonSettings
from orderfleet.store.health import schema_version
from orderfleet.store.migrations import migrations
from orderfleet.store.pool import UNAVAILABLE, open_pool
from orderfleet.temporal.client import connect
from orderfleet.temporal.namespace import look_at_search_attribute, require_namespace

log = structlog.stdlib.get_logger(__name__)

_POLL: Final = 0.5
# For one look; above what the pool takes to give up, which knows more about the reason.
_LOOK_SECONDS: Final = 5.0
# What is waited for is logged when it changes, and again after a while; what changes all the time
# must not fill the log.
_LOG_CHANGED: Final = 2.0
_LOG_AGAIN: Final = 10.0


def main() -> None:
    """Wait for what the arguments name and exit: 0 it is there, 1 it is not, 2 wrong settings."""
    settings, names = load_settings_and_names(CommonSettings, "orderfleet-wait", _LOOKS)
    configure_logs(settings.log_level, settings.log_format, service="wait")
    run_service("orderfleet-wait", lambda _: _serve(settings, names), drain=0)


async def wait(settings: CommonSettings, names: Sequence[str]) -> None:
    """Wait up to `start_wait_seconds` for all at once; look at each of them once at least.

    Raises:
        TimeoutError: something is still missing; the message is one line and says what.
    """
    began = time.monotonic()
    ends = await asyncio.gather(*(_until_there(name, settings) for name in names))
    if any(ends):
        raise TimeoutError("; ".join(missing for missing in ends if missing))
    seconds = round(time.monotonic() - began, 1)
    log.info("all is there", waited_for=names, seconds=seconds)


async def _serve(settings: CommonSettings, names: Sequence[str]) -> None:
    try:
        await wait(settings, names)
    except asyncio.CancelledError:
        # A status of 0 would say that all is there, and start the process that must not start.
        raise InterruptedError("stopped before all was there") from None


async def _until_there(name: str, settings: CommonSettings) -> str:
    """Look until nothing is missing or the time is over; return what was missing at the end."""
    logged, logged_at = "", -_LOG_AGAIN

    def log_missing(missing: str) -> None:
        nonlocal logged, logged_at
        now = time.monotonic()
        if now - logged_at >= (_LOG_AGAIN if missing == logged else _LOG_CHANGED):
            log.info("waiting", missing=missing)
            logged, logged_at = missing, now

    return await poll(
        lambda: _look(name, settings),
        lambda missing: not missing,
        seconds=settings.start_wait_seconds,
        pause=_POLL,
        on_miss=log_missing,
    )


async def _look(name: str, settings: CommonSettings) -> str:
    """Return what is missing, in one line.

    No error is final: at a first installation even a wrong password may be right in a moment.
    """
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            return await _LOOKS[name](settings)
    except TimeoutError:
        return f"{name.capitalize()}: no answer in {_LOOK_SECONDS:g} s"


async def _look_at_postgres(settings: CommonSettings) -> str:
    needed = migrations()[-1][0]
    try:
        async with open_pool(settings.database_url, size=1, wait_seconds=0) as pool:
            version = await schema_version(pool)
    except (*UNAVAILABLE, PostgresError) as error:
        where = settings.shown()["DATABASE_URL"]
        return f"Postgres at {where}: {_words(error.__cause__ or error)}"
    # A newer one is fine: after a rollback this release runs on the schema of the next.
    if version is not None and version >= needed:
        return ""
    found = "there is no schema" if version is None else f"schema is at {version}"
    return f"Postgres: {found}, this release needs {needed}"


async def _look_at_temporal(settings: CommonSettings) -> str:
    where = f"Temporal at {settings.temporal_address}"
    try:
        client = await connect(msgspec.structs.replace(settings, start_wait_seconds=0))
        # Not told by the other: with Elasticsearch the search attributes are the whole cluster's.
        await require_namespace(client)
        good, found = await look_at_search_attribute(client)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return f"no namespace {settings.temporal_namespace!r} in {where}"
        return f"{where}: {_words(error)}"
    except (OSError, SettingsError) as error:
        # A certificate's file may still be missing, and its mount may come.
        return f"{where}: {_words(error.__cause__ or error)}"
    return "" if good else f"search attribute {ORDER_STATE.name} {found} in {where}"


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


_LOOKS: Final[Mapping[str, Callable[[CommonSettings], Awaitable[str]]]] = {
    "postgres": _look_at_postgres,
    "temporal": _look_at_temporal,
}


if __name__ == "__main__":
    main()
