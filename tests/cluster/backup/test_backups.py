"""A fleet is backed up under orders, loses its databases' last minutes, and is restored."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from tests.cluster.backup.conftest import KEEP
from tests.cluster.backup.support.bucket import Bucket
from tests.cluster.backup.support.gateways import reach_ledgers
from tests.cluster.backup.support.jobs import log_of, start_backup, until_ended
from tests.cluster.backup.support.steps_of_docs import commands_of_steps, follow
from tests.cluster.support.cluster import Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.shop import Shop, eventually
from tests.cluster.support.steps import Step, Steps
from tests.restore.judge import Verdict, judge

pytestmark = pytest.mark.timeout(1200)

_PREFIX: Final = "kept"
_APART_SECONDS: Final = 1.0
# What a charged order may stay unaccounted for, from the moment that every pod is ready.
_GOAL_SECONDS: Final = 60.0
# ReconcileOrders closes a restore a minute after its first run.
_RECONCILED_SECONDS: Final = 150.0
_FILES: Final = {"SHA256SUMS", "fleet.dump", "manifest.json", "temporal.dump", "visibility.dump"}


async def test_backups_are_in_the_bucket_and_the_oldest_go(
    release: Release, bucket: Bucket, steps: Steps
) -> None:
    for number in range(1, KEEP + 2):
        with steps.step(f"backup {number}, under orders") as step:
            async with _orders(release, f"{_PREFIX}-before"):
                await _backup(release.namespace, f"by-hand-{number}", step)
    complete = bucket.complete()
    assert len(complete) == KEEP
    assert bucket.files() == sorted(f"{name}/{file}" for name in complete for file in _FILES)
    assert _on_the_volume(release.namespace) == complete
    path = "--output=jsonpath={.status.lastSuccessfulTime}"
    # The alert BackupTooOld sees what a person starts too.
    wait_until(
        "the time of a success",
        lambda: release.namespace.kubectl("get", f"cronjob/{NAME}-backup", path),
        bool,
        30,
    )


async def test_a_wrong_credential_is_one_line_and_older_backups_stay(
    release: Release, bucket: Bucket, steps: Steps
) -> None:
    before = bucket.files()
    with steps.step("backup with a wrong secret access key") as step:
        bucket.change_key("wrong")
        try:
            start_backup(release.namespace, "refused")
            end = await asyncio.to_thread(until_ended, release.namespace, "refused")
        finally:
            bucket.change_key()
        (line,) = log_of(release.namespace, "refused", "upload")
        step.saw(line=line)
    assert end == "Failed"
    assert line.startswith("upload: bucket backups/shop/orders: ")
    assert "SignatureDoesNotMatch" in line
    assert bucket.files() == before
    # This one's dump, and one older: no dump again.
    assert len(_on_the_volume(release.namespace)) == KEEP


async def test_a_restore_from_the_bucket(
    release: Release, bucket: Bucket, values: dict[str, Any], steps: Steps
) -> None:
    _empty_the_volume(release.namespace)
    with steps.step("restore by the docs' steps, from the bucket") as step:
        name = bucket.complete()[-1]
        await _lose_and_restore(release, values, name, "restore-1", step, keeps=True)
        assert log_of(release.namespace, "restore-1", "fetch") == [f"{name}: fetched"]


async def test_a_restore_from_the_volume(
    release: Release, bucket: Bucket, values: dict[str, Any], steps: Steps
) -> None:
    with steps.step("restore by the docs' steps, from the volume") as step:
        name = bucket.complete()[-1]
        await _lose_and_restore(release, values, name, "restore-2", step)
        assert log_of(release.namespace, "restore-2", "fetch") == [f"{name}: is on the volume"]


async def _lose_and_restore(
    release: Release,
    values: dict[str, Any],
    backup: str,
    job: str,
    step: Step,
    *,
    keeps: bool = False,
) -> None:
    """Place orders, stop, restore an older backup, start, and compare the ledgers."""
    namespace = release.namespace
    async with release.shop() as shop, release.books() as pool:
        placed = await shop.place_apart(f"{_PREFIX}-{job}", 8, _APART_SECONDS)
        for order_id in placed[:4]:
            await shop.ended(order_id)
        in_review = await shop.place(f"{_PREFIX}-{job}")
        await shop.until(in_review, "validated")
        rows = await pool.fetch("SELECT id FROM orders WHERE state = 'fulfilled'")
        fulfilled = {row["id"] for row in rows}
    stopped = time.monotonic()
    await asyncio.to_thread(follow, namespace, 1)
    if keeps:
        await asyncio.to_thread(follow, namespace, 2)
    said = await asyncio.to_thread(follow, namespace, 3, backup=backup, job=job)
    assert f"{backup}: restored" in said
    assert "start the fleet now" in said
    restored = time.monotonic()
    await asyncio.to_thread(release.upgrade, values, force=True)
    ready = time.monotonic()
    async with release.books() as pool, reach_ledgers(namespace) as ledgers:

        async def verdict() -> Verdict:
            return await judge(pool, *await ledgers.read(), _PREFIX, fulfilled)

        judged = await eventually(
            "every charged order accounted for", verdict, lambda v: not v.wrong, _GOAL_SECONDS
        )
        accounted = time.monotonic()

        async def open_restores() -> int:
            query = "SELECT count(*) FROM restores WHERE reconciled_at IS NULL"
            count: int = await pool.fetchval(query)
            return count

        await eventually("the restore", open_restores, lambda n: not n, _RECONCILED_SECONDS)
        judged = await verdict()
        assert not judged.wrong, judged
        bank, _ = await ledgers.read()
        # One that was refunded before it was lost needs no row.
        known = {row["id"] for row in await pool.fetch("SELECT id FROM orders")}
        kept = {
            order_id
            for order_id, keys in bank.captures.items()
            if any(bank.status[key] == "captured" for key in keys)
        }
        assert kept <= known
    logs = await asyncio.to_thread(follow, namespace, 5)
    assert "restore is reconciled" in logs
    step.saw(
        orders=sum(judged.ends.values()),
        ends={str(end): count for end, count in judged.ends.items()},
        charged=len(bank.captures),
        restore=f"{restored - stopped:.0f} s",
        start=f"{ready - restored:.0f} s",
        accounted_for_after=f"{accounted - ready:.1f} s",
        reconciled_after=f"{time.monotonic() - ready:.0f} s",
    )


async def _backup(namespace: Namespace, name: str, step: Step) -> None:
    began = time.monotonic()
    start_backup(namespace, name)
    assert await asyncio.to_thread(until_ended, namespace, name) == "Complete"
    step.saw(took=f"{time.monotonic() - began:.0f} s", log=log_of(namespace, name, "upload"))
    assert log_of(namespace, name, "upload")[0].endswith(": uploaded and checked")


@asynccontextmanager
async def _orders(release: Release, kind: str) -> AsyncIterator[None]:
    """Place orders while the block runs: the dump has orders at every step."""

    async def place(shop: Shop) -> None:
        while True:
            await shop.place(kind)
            await asyncio.sleep(_APART_SECONDS)

    async with release.shop() as shop:
        placing = asyncio.create_task(place(shop))
        try:
            await asyncio.sleep(5 * _APART_SECONDS)
            yield
            assert not placing.done(), placing.exception()
        finally:
            placing.cancel()


def _on_the_volume(namespace: Namespace) -> list[str]:
    return sorted(_in_a_pod_with_the_volume(namespace, "ls /backups").split())


def _empty_the_volume(namespace: Namespace) -> None:
    _in_a_pod_with_the_volume(namespace, "rm -rf /backups/*")
    assert not _on_the_volume(namespace)


def _in_a_pod_with_the_volume(namespace: Namespace, script: str) -> str:
    """Run a script of sh in a pod like those of the backups; return what it prints."""
    (cronjob,) = (each for each in namespace.get("cronjobs", component="backup"))
    spec = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec.pop("initContainers")
    spec["containers"] = [container | {"args": [script]}]
    namespace.create("v1", "Pod", "looks", spec=spec)
    phase = "jsonpath={.status.phase}=Succeeded"
    namespace.kubectl("wait", "pod/looks", f"--for={phase}", "--timeout=50s")
    said = namespace.kubectl("logs", "looks")
    namespace.kubectl("delete", "pod/looks", "--now")
    return said


def test_the_docs_have_the_steps() -> None:
    steps = commands_of_steps()
    assert [number for number, commands in steps.items() if commands] == [1, 2, 3, 5]
