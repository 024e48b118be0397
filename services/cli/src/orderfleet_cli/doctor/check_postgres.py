"""Checks of Postgres."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from asyncpg import PostgresError

from orderfleet.environment import SettingsError
from orderfleet.settings import CommonSettings
from orderfleet.store.health import read_clock, schema_version
from orderfleet.store.migrations import migrations
from orderfleet.store.password import load_password
from orderfleet.store.pool import UNAVAILABLE, Pool, open_pool
from orderfleet.store.pooler import check_statements
from orderfleet_cli.doctor.clock_skew import compare_clock
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.settings import read

_FIX = "start it, or set DATABASE_URL"


async def check_postgres() -> list[Finding]:
    """Check Postgres: connection, schema, clock."""
    settings = read(CommonSettings)
    url = urlsplit(settings.database_url)
    server = url.netloc.rpartition("@")[2] + url.path
    try:
        password = load_password(settings)
        async with open_pool(
            settings.database_url, size=1, wait_seconds=0, password=password
        ) as pool:
            await check_statements(pool)
            return [
                Finding("Postgres", ok=True, found=f"answers at {server}", fix=_FIX),
                await _check_schema(pool),
                await _check_clock(pool),
            ]
    except (*UNAVAILABLE, PostgresError, SettingsError) as error:
        found = f"{server}: {str(error) or type(error).__name__}"
        return [Finding("Postgres", ok=False, found=found, fix=_FIX)]


async def _check_schema(pool: Pool) -> Finding:
    newest = migrations()[-1][0]
    version = await schema_version(pool)
    found = f"version {version}" if version == newest else f"version {version}, not {newest}"
    older = (version or 0) < newest
    fix = "run `orderfleet-migrate`" if older else "this command is older than the fleet: update it"
    return Finding("schema", version == newest, found, fix)


async def _check_clock(pool: Pool) -> Finding:
    before = datetime.now(UTC)
    time = await read_clock(pool)
    return compare_clock("Postgres", time, before, datetime.now(UTC))
