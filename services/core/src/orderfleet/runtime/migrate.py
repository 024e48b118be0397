"""`orderfleet-migrate`: wait for Postgres, then bring the schema up to date."""

import asyncio
import sys
from typing import Annotated

import asyncpg
import structlog

from orderfleet.environment import Env, SettingsError
from orderfleet.observability.logging import configure_logs
from orderfleet.polling import retry
from orderfleet.runtime.arguments import load_settings
from orderfleet.settings import CommonSettings
from orderfleet.store.migrations import Migrated, migrate
from orderfleet.store.password import load_password
from orderfleet.store.pool import UNAVAILABLE, log_waiting

log = structlog.stdlib.get_logger(__name__)


class MigrateSettings(CommonSettings, frozen=True, kw_only=True):
    """Settings of `orderfleet-migrate`."""

    database_role: Annotated[
        str, Env("The fleet's role, created if missing, with the grants that the fleet needs.")
    ] = "orderfleet"


async def _migrate_when_up(settings: MigrateSettings) -> Migrated:
    password = load_password(settings)
    return await retry(
        lambda: migrate(settings.database_url, settings.database_role, password),
        # At a first installation another Job creates roles, passwords and databases meanwhile.
        on=UNAVAILABLE,
        seconds=settings.start_wait_seconds,
        pause=0.5,
        on_failure=log_waiting,
    )


def main() -> None:
    """Run the migrations once and exit: 0 done, 1 failed, 2 wrong settings."""
    settings = load_settings(MigrateSettings, "orderfleet-migrate")
    configure_logs(settings.log_level, settings.log_format, service="migrate")
    try:
        done = asyncio.run(_migrate_when_up(settings))
    except SettingsError as error:
        print(f"orderfleet-migrate: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        print(f"orderfleet-migrate: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    log.info("schema is up to date", applied=done.applied, version=done.version)


if __name__ == "__main__":
    main()
