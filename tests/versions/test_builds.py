"""Thirteen builds of the workers beside the current one, under 3 orders a second.

In this order: the builds that are stopped leave the fleet on today's build; each of the others
becomes current, and the last is the one before it again.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from math import sqrt
from pathlib import Path
from typing import Final

import pytest

from orderfleet.store.pool import Pool
from orderfleet.versions.judgement import FIRST_TASK_SECONDS
from tests.cluster.support.shop import Shop, balanced
from tests.support.builds import (
    BOTH_COMMANDS,
    CRASHES,
    CRASHES_AT_START,
    DECLINES,
    HANGS,
    LEAKS,
    MIGRATION,
    ORDER_COMMANDS,
    OTHER_REFUND,
    SHIPPING_COMMANDS,
    SLOW,
    WRONG_SCHEMA,
    Build,
)
from tests.support.flow_report import FlowReport
from tests.versions.support.flow import RATE, flow
from tests.versions.support.rows import Row, Rows
from tests.versions.support.stage import REFUNDED, Stage, Upgrade
from tests.versions.support.traces import Trace, trace_orders
from tests.versions.support.workers import Source, edited

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

_STOPPED_SECONDS: Final = 60.0
# The share of a run's orders that a bad build may hurt beyond its share of the ramp.
_BEYOND: Final = 0.01
# The share of new orders that a build may get: 10 %, and three times as much where that is little.
_SHARE: Final = 0.3
# Orders before the upgrade, with which the gate compares, and after it.
_BEFORE_SECONDS: Final = 8.0
_AFTER_SECONDS: Final = 4.0
# An order that a build left behind gets its end from ReconcileOrders, which runs every 10 s.
_LATEST_SECONDS: Final = 40.0

STOPPED: Final = {
    CRASHES_AT_START: r"no worker of build \w+ polled orders-tq within 20 s",
    CRASHES: r"orders of the new build are bad \(.*not begun",
    HANGS: r"orders of the new build are bad \(.*not begun.*deadlock",
    DECLINES: r"orders of the new build are bad \(.*failed.*by a bad build",
    SLOW: r"orders take .* on the new build and .* on the current one",
    WRONG_SCHEMA: r"orders of the new build are bad \(.*moved_by",
    # Each restart costs its orders a second; some of them more.
    LEAKS: r"orders of the new build are bad \(|orders take ",
}
PROMOTED: Final = {
    "other-commands-in-OrderWorkflow": ORDER_COMMANDS,
    "other-commands-in-ShippingWorkflow": SHIPPING_COMMANDS,
    "new-commands-in-both-workflows": BOTH_COMMANDS,
    "a-migration-with-it": MIGRATION,
    "back-to-the-build-before": BOTH_COMMANDS,
}


@pytest.mark.parametrize("build", STOPPED, ids=lambda build: build.name)
async def test_a_bad_build_is_stopped(
    stage: Stage, pool: Pool, rows: Rows, tmp_path: Path, build: Build
) -> None:
    async with flow(stage.fleet, build.name) as orders:
        await asyncio.sleep(_BEFORE_SECONDS)
        upgrade = await _stopped(stage, build, tmp_path, STOPPED[build])
        await asyncio.sleep(_AFTER_SECONDS)
    await balanced(pool, orders.accepted)
    _check_harm(build, upgrade, orders, await trace_orders(stage.temporal, orders.accepted), rows)


async def test_a_refund_that_does_not_replay_stops_its_build(
    stage: Stage, pool: Pool, shop: Shop, rows: Rows, tmp_path: Path
) -> None:
    reason = "workflows that the build would take over do not replay: RefundWorkflow"
    async with flow(stage.fleet, OTHER_REFUND.name) as orders:
        refunded = await shop.place(REFUNDED)
        await shop.until(refunded, "failed")
        upgrade = await _stopped(stage, OTHER_REFUND, tmp_path, reason)
        await asyncio.sleep(_AFTER_SECONDS)
    await balanced(pool, [*orders.accepted, refunded])
    traces = await trace_orders(stage.temporal, [*orders.accepted, refunded])
    # Its refund was open meanwhile.
    assert not traces[refunded].failed_tasks
    assert not {pid for trace in traces.values() for pid in trace.pids} & upgrade.pids
    _check_harm(OTHER_REFUND, upgrade, orders, traces, rows)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    """Return the sources of the builds that become current."""
    builds = {build.name: build for build in PROMOTED.values()}
    return {name: edited(builds[name], tmp_path_factory.mktemp(name)) for name in builds}


@pytest.mark.parametrize(("title", "build"), PROMOTED.items(), ids=PROMOTED)
async def test_a_good_build_becomes_current(
    stage: Stage, pool: Pool, rows: Rows, sources: dict[str, Source], title: str, build: Build
) -> None:
    before = {folder: (await stage.routing(folder)).current for folder in build.workers}
    async with flow(stage.fleet, title) as orders:
        await asyncio.sleep(_BEFORE_SECONDS)
        async with stage.upgrade(sources[build.name], build.workers) as upgrade:
            statuses = await stage.replace(upgrade)
        await asyncio.sleep(_AFTER_SECONDS)
    for gate in upgrade.gates.values():
        assert gate.status == 0, gate.reason
        # So it is with workers without versions: these orders would stand still.
        assert any("histories differ" in line for line in gate.lines)
    assert statuses == [0 for _ in build.workers]
    for folder, old in before.items():
        routing = await stage.routing(folder)
        assert routing.current not in {None, old}
        assert routing.ramping is None
    await balanced(pool, orders.accepted)
    traces = await trace_orders(stage.temporal, orders.accepted)
    share = _share(upgrade, traces)
    rows.add(_row(title, "promoted", upgrade, orders, share))
    if orders.hurt:
        _fail(traces, orders.hurt)
    assert not orders.report["lost"]
    assert not sum(trace.failed_tasks for trace in traces.values())
    assert 0 < len(share) < len(orders.accepted)


async def _stopped(stage: Stage, build: Build, directory: Path, reason: str) -> Upgrade:
    """Upgrade to a bad build, which is stopped for this reason, and back."""
    before = {folder: (await stage.routing(folder)).current for folder in build.workers}
    async with stage.upgrade(edited(build, directory), build.workers) as upgrade:
        for folder, gate in upgrade.gates.items():
            assert gate.status == 1, gate.lines
            assert re.search(reason, gate.reason), gate.reason
            routing = await stage.routing(folder)
            assert (routing.current, routing.ramping) == (before[folder], None)
            assert await stage.workers[folder].ready()
            assert not stage.workers[folder].exits
    assert upgrade.seconds < _STOPPED_SECONDS
    return upgrade


def _share(upgrade: Upgrade, traces: Mapping[str, Trace]) -> set[str]:
    """Return the orders that went to a build, those included that nobody there took."""
    return {
        order_id
        for order_id, trace in traces.items()
        if trace.pids & upgrade.pids or trace.waited > FIRST_TASK_SECONDS
    }


def _check_harm(
    build: Build, upgrade: Upgrade, orders: FlowReport, traces: Mapping[str, Trace], rows: Rows
) -> None:
    """Check that a bad build has hurt only orders of its share."""
    share = _share(upgrade, traces)
    reasons = "; ".join(gate.reason for gate in upgrade.gates.values())
    rows.add(_row(build.name, reasons, upgrade, orders, share))
    others = orders.hurt - share
    if len(others) > _BEYOND * len(orders.accepted):
        _fail(traces, others)
    assert not orders.open
    assert not orders.report["lost"]
    assert set(orders.late) <= share
    assert not [took for took in orders.late.values() if took > _LATEST_SECONDS]
    most = _SHARE * RATE * upgrade.seconds * len(upgrade.gates)
    assert len(share) <= most + 3 * sqrt(most)
    assert not sum(
        trace.failed_tasks for order_id, trace in traces.items() if order_id not in share
    )


def _fail(traces: Mapping[str, Trace], order_ids: Iterable[str]) -> None:
    pytest.fail("\n".join(str(traces[order_id]) for order_id in order_ids), pytrace=False)


def _row(name: str, reason: str, upgrade: Upgrade, orders: FlowReport, share: set[str]) -> Row:
    slowest = f" ({max(orders.late.values()):.0f} s)" if orders.late else ""
    return Row(
        name,
        reason,
        upgrade.seconds,
        len(orders.accepted),
        len(share),
        len(orders.hurt & share),
        f"{len(orders.late)}{slowest}",
        len(orders.hurt - share),
        len(orders.open) + len(orders.report["lost"]),
        len(orders.report["refusals"]),
    )
