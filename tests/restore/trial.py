"""One round: orders, two backups at different times, more orders, a stop, a restore, a start."""

import asyncio
import random
import shutil
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from orderfleet_cli.local.ports import LOOPBACK
from tests.bench.http import RefusedError
from tests.bench.server import DATABASES, Server
from tests.bench.subjects.orderfleet import Options, Orderfleet, run_orderfleet
from tests.restore.gateways import Bank, Post
from tests.restore.judge import Verdict, judge
from tests.support.cli import Cli, Outcome

# Beyond this an order that the gateways know is not accounted for in time.
GOAL_SECONDS: Final = 60.0
_WARM_SECONDS: Final = 8.0
_AFTER_SECONDS: Final = 10.0
_CANCELLED: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all rounds have in common."""

    data: Path
    server: Server
    bank: Bank
    post: Post
    env: dict[str, str]
    gap: float
    rate: float
    recorded: bool
    """Whether the fleet is told of the restore, as the command does."""


class Result(Struct):
    """What a round measured; `verdict` is the last one."""

    seed: int
    older: str
    orders: int
    verdict: Verdict
    backup_seconds: float
    restore_seconds: float
    start_seconds: float
    reconciled_seconds: float | None
    """From the start of the fleet until nothing was wrong any more."""


async def run_trial(setting: Setting, seed: int) -> Result:
    """Run a round."""
    chance = random.Random(seed)
    prefix = f"s{seed}"
    older = chance.choice(["fleet", "temporal"])
    options = Options(
        review=0.5, env={**setting.env, "ORDERFLEET_RECONCILE_SECONDS": "5"}, workers=1
    )
    cli = _cli(setting)
    backups = [setting.data / f"backup-{seed}-{number}" for number in (1, 2)]
    async with run_orderfleet(setting.data, setting.server, options) as fleet:
        load = asyncio.create_task(_place(fleet, prefix, setting.rate, chance))
        await asyncio.sleep(_WARM_SECONDS)
        began = time.monotonic()
        _check(await cli("backup", str(backups[0])))
        backup_seconds = time.monotonic() - began
        await asyncio.sleep(setting.gap)
        _check(await cli("backup", str(backups[1])))
        await asyncio.sleep(chance.uniform(1, _AFTER_SECONDS))
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        fulfilled = await fleet.database.fetch(
            "SELECT id FROM orders WHERE state = 'fulfilled' AND starts_with(id, $1)", f"{prefix}-"
        )
        if chance.random() < 0.5:
            for process in fleet.processes.values():
                await process.stop(signal.SIGKILL)
        await fleet.database.close()
    temporal = setting.server.temporal
    assert temporal is not None
    await temporal.stop()
    restored_at = time.monotonic()
    fleets, temporals = backups if older == "fleet" else backups[::-1]
    _check(await cli("restore", str(fleets), "--only", "fleet", "--replace"))
    both = ("--only", "temporal", "--only", "visibility")
    _check(await cli("restore", str(temporals), *both, "--replace"))
    restore_seconds = time.monotonic() - restored_at
    started_at = time.monotonic()
    await temporal.start()
    async with run_orderfleet(setting.data, setting.server, options) as fleet:
        if not setting.recorded:
            await fleet.database.execute("UPDATE restores SET reconciled_at = now()")
        start_seconds = time.monotonic() - started_at
        ready_at = time.monotonic()
        seen = {row["id"] for row in fulfilled}
        while True:
            verdict = await judge(fleet.database, setting.bank, setting.post, prefix, seen)
            passed = time.monotonic() - ready_at
            if not verdict.wrong or passed > GOAL_SECONDS:
                break
            await asyncio.sleep(0.5)
    for backup in backups:
        shutil.rmtree(backup)
    return Result(
        seed,
        older,
        sum(verdict.ends.values()),
        verdict,
        backup_seconds,
        restore_seconds,
        start_seconds,
        None if verdict.wrong else passed,
    )


async def _place(fleet: Orderfleet, prefix: str, rate: float, chance: random.Random) -> None:
    """Place orders at a rate, and cancel some of them, until this is cancelled."""
    async with asyncio.TaskGroup() as group:
        for number in range(10**6):
            wait = chance.uniform(0.3, 3) if chance.random() < _CANCELLED else None
            group.create_task(_order(fleet, f"{prefix}-{number}", wait))
            await asyncio.sleep(chance.expovariate(rate))


async def _order(fleet: Orderfleet, order_id: str, cancel_after: float | None) -> None:
    with suppress(RefusedError, OSError, asyncio.IncompleteReadError):
        await fleet.place(order_id)
        if cancel_after is not None:
            await asyncio.sleep(cancel_after)
            body: dict[str, Any] = {"reason": "changed my mind"}
            path = f"/orders/{order_id}/signals/cancel"
            await fleet.http.ask("POST", path, msgspec.json.encode(body))


def _cli(setting: Setting) -> Cli:
    postgres = setting.server.postgres
    env = {
        "DATABASE_URL": postgres.url(),
        "ORDERFLEET_TEMPORAL_DATABASE_URL": postgres.url(database=DATABASES["temporal"]),
        "ORDERFLEET_VISIBILITY_DATABASE_URL": postgres.url(database=DATABASES["visibility"]),
        "ORDERFLEET_URL": f"http://{LOOPBACK}:1",
        "TEMPORAL_ADDRESS": setting.server.address,
    }
    return Cli(setting.data, env)


def _check(outcome: Outcome) -> None:
    assert outcome.status == 0, outcome


def summary(results: Iterable[Result]) -> list[str]:
    """Return a line for each round."""
    return [
        f"seed {one.seed}: {one.older} older, {one.orders} orders {one.verdict.ends}; "
        f"backup {one.backup_seconds:.1f} s, restore {one.restore_seconds:.1f} s, "
        f"start {one.start_seconds:.1f} s, "
        + (
            f"right after {one.reconciled_seconds:.1f} s"
            if one.reconciled_seconds is not None
            else f"WRONG: {one.verdict.wrong}"
        )
        for one in results
    ]
