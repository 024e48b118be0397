"""Postgres dies before an order's first row, for which nobody waits, is on its disk."""

import signal
from pathlib import Path

from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import open_pool
from orderfleet_cli.local import run_postgres
from orderfleet_cli.local.postgres import DATABASE, ROLE
from tests.integration.support.books import books
from tests.integration.support.steps import Steps


async def test_the_row_is_written_again(tmp_path: Path, unused_tcp_port: int) -> None:
    async with run_postgres(tmp_path, unused_tcp_port, durable=True) as postgres:
        await postgres.create_database(DATABASE)
        await postgres.migrate(DATABASE)
        async with open_pool(postgres.url(), size=1, wait_seconds=5) as owner:
            # By default what nobody waits for is on the disk 0.2 s later.
            await owner.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
            await owner.execute("SELECT pg_reload_conf()")
            await owner.execute("CHECKPOINT")
        async with open_pool(postgres.url(user=ROLE), size=1, wait_seconds=5) as pool:
            steps = Steps(pool, "one")
            await steps.receive()(pool, 1)
            assert (await books(pool, "one")).order["state"] == OrderState.RECEIVED
            await postgres.process.stop(signal.SIGQUIT)
            await postgres.start()
            assert not (await books(pool, "one")).order
            await steps.validate()(pool, 1)
            # That is on the disk, and the first row with it.
            await postgres.process.stop(signal.SIGQUIT)
            await postgres.start()
            record = await books(pool, "one")
    assert record.order["state"] == OrderState.IN_REVIEW
    assert [event["type"] for event in record.events] == ["received", "validated"]
