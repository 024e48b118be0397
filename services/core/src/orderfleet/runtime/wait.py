"""`orderfleet-wait`: wait until Postgres or Temporal is ready for this release.

The init container of the API and of the workers. It is not enough that Postgres answers: a Job of
its own creates the schema, another one Temporal's namespace and search attribute.
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
from orderfleet.environment import SettingsError
from orderfleet.observability.logging import configure_logs
from orderfleet.polling import poll
from orderfleet.runtime.arguments import load_settings_and_names
from orderfleet.runtime.process import run_service
from orderfleet.settings import CommonSettings
from orderfleet.store.health import schema_version
from orderfleet.store.migrations import migrations
from orderfleet.store.password import load_password
from orderfleet.store.pool import UNAVAILABLE, open_pool
from orderfleet.store.pooler import check_statements
from orderfleet.temporal.client import connect
from orderfleet.temporal.namespace import check_search_attribute, require_namespace

log = structlog.stdlib.get_logger(__name__)

_POLL: Final = 0.5
# For one check; longer than the pool's own time-out, whose error says more.
_CHECK_SECONDS: Final = 5.0
# A new reason is logged after 2 s at the earliest, the same reason again after 10 s.
_LOG_CHANGED: Final = 2.0
_LOG_AGAIN: Final = 10.0


def main() -> None:
    """Wait for what the arguments name and exit: 0 ready, 1 not ready, 2 wrong settings."""
    settings, names = load_settings_and_names(CommonSettings, "orderfleet-wait", _CHECKS)
    configure_logs(settings.log_level, settings.log_format, service="wait")
    run_service("orderfleet-wait", lambda _: _serve(settings, names), drain=0)


async def wait(settings: CommonSettings, names: Sequence[str]) -> None:
    """Wait up to `start_wait_seconds` for all of them at once; check each at least once.

    Raises:
        TimeoutError: something is still missing; the message is one line with the reasons.
    """
    began = time.monotonic()
    results = await asyncio.gather(*(_wait_for(name, settings) for name in names))
    if any(results):
        raise TimeoutError("; ".join(missing for missing in results if missing))
    seconds = round(time.monotonic() - began, 1)
    log.info("ready", waited_for=names, seconds=seconds)


async def _serve(settings: CommonSettings, names: Sequence[str]) -> None:
    try:
        await wait(settings, names)
    except asyncio.CancelledError:
        # With status 0 Kubernetes would start the main container.
        raise InterruptedError("stopped before everything was ready") from None


async def _wait_for(name: str, settings: CommonSettings) -> str:
    """Check until nothing is missing or the time is over; return what is still missing."""
    logged, logged_at = "", -_LOG_AGAIN

    def log_missing(missing: str) -> None:
        nonlocal logged, logged_at
        now = time.monotonic()
        if now - logged_at >= (_LOG_AGAIN if missing == logged else _LOG_CHANGED):
            log.info("waiting", missing=missing)
            logged, logged_at = missing, now

    return await poll(
        lambda: _check(name, settings),
        lambda missing: not missing,
        seconds=settings.start_wait_seconds,
        pause=_POLL,
        on_miss=log_missing,
    )


async def _check(name: str, settings: CommonSettings) -> str:
    """Return what is missing, in one line.

    No error is final: during a first installation even a wrong password may become right.
    """
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await _CHECKS[name](settings)
    except TimeoutError:
        return f"{name.capitalize()}: no answer within {_CHECK_SECONDS:g} s"


async def _check_postgres(settings: CommonSettings) -> str:
    needed = migrations()[-1][0]
    try:
        password = load_password(settings)
        url = settings.database_url
        async with open_pool(url, size=1, wait_seconds=0, password=password) as pool:
            await check_statements(pool)
            version = await schema_version(pool)
    except (*UNAVAILABLE, PostgresError, SettingsError) as error:
        where = settings.shown()["DATABASE_URL"]
        return f"Postgres at {where}: {_one_line(error.__cause__ or error)}"
    # A newer schema is fine: after a rollback this release runs on the schema of a later release.
    if version is not None and version >= needed:
        return ""
    current = "no schema" if version is None else f"schema is at version {version}"
    return f"Postgres: {current}, this release needs {needed}"


async def _check_temporal(settings: CommonSettings) -> str:
    where = f"Temporal at {settings.temporal_address}"
    try:
        client = await connect(msgspec.structs.replace(settings, start_wait_seconds=0))
        # The next call does not need it: with Elasticsearch search attributes are cluster-wide.
        await require_namespace(client)
        good, state = await check_search_attribute(client)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return f"no namespace {settings.temporal_namespace!r} in {where}"
        return f"{where}: {_one_line(error)}"
    except SettingsError as error:
        # Also a certificate's file that is not mounted yet, and a key that is not valid yet.
        return _one_line(error)
    except OSError as error:
        return f"{where}: {_one_line(error.__cause__ or error)}"
    return "" if good else f"search attribute {ORDER_STATE.name} {state} in {where}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


_CHECKS: Final[Mapping[str, Callable[[CommonSettings], Awaitable[str]]]] = {
    "postgres": _check_postgres,
    "temporal": _check_temporal,
}


if __name__ == "__main__":
    main()
