"""The metrics of a running fleet, held against its audit log. A fleet of its own: counters add up.

With promtool on PATH its linter reads them too; without it, prometheus_client's parser alone does.
"""

import asyncio
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from orderfleet.domain.orders import OPEN_STATES
from orderfleet.store.pool import open_pool
from orderfleet.temporal.payload_keys import make_key
from orderfleet_cli.local import FleetOptions, Ports, run_fleet
from tests.e2e.support import faults
from tests.e2e.support.orders import ENDS, Json, Orders, clients, eventually, seconds, types
from tests.e2e.support.scrapes import Scrape, documented, scrape

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROCESSES: Final = ("api", "order-worker", "shipping-worker")
WORKERS: Final = ("order-worker", "shipping-worker")
SECTIONS: Final = {
    "api": ("Every process", "API", "API: the whole fleet"),
    "order-worker": ("Every process", "Both workers", "Order worker"),
    "shipping-worker": ("Every process", "Both workers"),
}
# The exporter looks every second here.
_FRESH: Final = 2.5


class Busy:
    """A fleet that has ended a few orders, and what its processes then tell."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.ended: dict[str, Json] = {}
        self.scrapes: dict[str, Scrape] = {}

    async def drive(self) -> None:
        """Drive an order into each kind of counter."""
        fulfilled, cancelled, repeated, declined = await asyncio.gather(
            self.orders.place("plain"),
            self.orders.place("refused-once"),
            self.orders.place("reply-lost"),
            self.orders.place("declined"),
        )
        # The whole trail, to its end, as a stream.
        stream = asyncio.create_task(self.orders.http.get(f"/orders/{fulfilled}/events"))
        # A repeat of the start is no new order.
        assert (await self.orders.start(fulfilled)).status_code == 202
        assert (await self.orders.http.get("/nowhere/at/all")).status_code == 404
        rejected = await self.orders.place("plain")
        await self.orders.until(rejected, "validated")
        await self.orders.review(rejected, approved=False)
        await self.orders.until(cancelled, "dispatch_failed")
        assert (await self.orders.cancel(cancelled)).status_code == 200
        assert (await stream).status_code == 200
        for order_id in (fulfilled, cancelled, repeated, declined, rejected):
            self.ended[order_id] = await self.orders.completed(order_id)
        await asyncio.sleep(_FRESH)
        for name in PROCESSES:
            self.scrapes[name] = await scrape(self.orders.fleet, name)

    def events(self, kind: str) -> int:
        return sum(types(order).count(kind) for order in self.ended.values())

    def workers(self, name: str, **labels: str) -> float:
        return sum(sum(self.scrapes[one].values(name, **labels)) for one in WORKERS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def busy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Busy]:
    keys = tmp_path_factory.mktemp("credentials") / "payload-keys"
    keys.write_text(f"{make_key()}\n")
    env = {"ORDERFLEET_EXPORTER_SECONDS": "1", "ORDERFLEET_VERSIONING": "on"}
    # A credential of every process.
    env |= {"ORDERFLEET_PAYLOAD_KEYS_FILE": str(keys)}
    options = FleetOptions(
        data=tmp_path_factory.mktemp("fleet"),
        env=faults.ENV | env,
        ports=Ports.anywhere(),
    )
    async with (
        run_fleet(options) as fleet,
        clients(fleet) as http,
        open_pool(fleet.database_url, size=2, wait_seconds=5) as pool,
    ):
        found = Busy(Orders(http, pool, fleet))
        await found.drive()
        yield found


async def test_the_orders_end_as_they_must(busy: Busy) -> None:
    states = [order["state"] for order in busy.ended.values()]
    assert states == ["fulfilled", "cancelled", "fulfilled", "failed", "rejected"]


async def test_accepted_orders(busy: Busy) -> None:
    api = busy.scrapes["api"]
    assert api.value("orderfleet_orders_accepted_total") == len(busy.ended)
    route = "/orders/{order_id}/start"
    started = api.value("orderfleet_http_requests_total", route=route, method="POST", status="202")
    assert started == len(busy.ended) + 1
    lost = api.value("orderfleet_http_requests_total", route="other", method="GET", status="404")
    assert lost == 1
    # As long as an order, but the answer began at once.
    stream = api.value(
        "orderfleet_http_request_duration_seconds_sum", route="/orders/{order_id}/events"
    )
    assert stream < 2


async def test_ended_orders_and_their_time_are_those_of_the_audit_log(busy: Busy) -> None:
    counted = Counter(order["state"] for order in busy.ended.values())
    for state in ENDS:
        labels = {"state": state}
        assert busy.workers("orderfleet_orders_ended_total", **labels) == counted[state]
        assert busy.workers("orderfleet_order_duration_seconds_count", **labels) == counted[state]
        inside = busy.workers("orderfleet_order_duration_seconds_bucket", **labels, le="15.0")
        assert inside == counted[state]
        lasted = sum(seconds(one) for one in busy.ended.values() if one["state"] == state)
        total = busy.workers("orderfleet_order_duration_seconds_sum", **labels)
        assert total == pytest.approx(lasted, abs=0.5)
    assert busy.workers("orderfleet_reconciled_orders_total") == 0
    # The one whose first charge lost its reply.
    assert busy.workers("orderfleet_orders_saved_by_retries_total") == 1


async def test_payments_are_those_of_the_audit_log(busy: Busy) -> None:
    def payments(operation: str, result: str, replayed: str = "false") -> float:
        return busy.scrapes["order-worker"].value(
            "orderfleet_payments_total", operation=operation, result=result, replayed=replayed
        )

    # Of the charge whose reply was lost, the gateway had already done the second one.
    assert payments("charge", "captured", "true") == payments("charge", "unknown") == 1
    assert payments("charge", "captured") == busy.events("charged") - 1 == 2
    assert payments("charge", "refused") == busy.events("declined") == 1
    assert payments("refund", "refunded") == busy.events("refunded") == 1
    assert payments("void", "voided") == busy.events("voided") == 1
    # The cancelled order's payment was captured, the declined one's is not there.
    assert payments("lookup", "captured") == payments("lookup", "none") == 1
    refunds = "orderfleet_refunds_total"
    assert busy.scrapes["order-worker"].value(refunds, result="refunded") == 1
    assert busy.scrapes["order-worker"].value(refunds, result="voided") == 1


async def test_steps_are_those_of_the_audit_log(busy: Busy) -> None:
    def attempts(step: str, outcome: str) -> float:
        return busy.workers("orderfleet_step_attempts_total", step=step, outcome=outcome)

    number = len(busy.ended)
    assert attempts("receive", "completed") == attempts("validate", "completed") == number
    assert attempts("charge", "completed") == busy.events("charged") == 3
    assert attempts("charge", "failed") == 2
    assert attempts("dispatch", "failed") == busy.events("dispatch_failed") == 1
    assert attempts("dispatch", "completed") == busy.events("fulfilled") == 2
    assert attempts("refund", "completed") == 2
    for step, count in (("receive", number), ("charge", 4), ("dispatch", 3)):
        labels = {"step": step}
        assert busy.workers("orderfleet_deadline_left_seconds_count", **labels) == count
        left = busy.workers("orderfleet_deadline_left_seconds_sum", **labels) / count
        # Forward work has 12 s, and 2 s of them are the review.
        assert (11 if step == "receive" else 7) < left < (12 if step == "receive" else 10)
        spent = busy.workers("orderfleet_step_duration_seconds_sum", **labels)
        assert 0 < spent < 3 * count
    assert not busy.workers("orderfleet_deadline_left_seconds_count", step="refund")


async def test_the_whole_fleet_as_the_api_tells_it(busy: Busy) -> None:
    api = busy.scrapes["api"]
    for state in OPEN_STATES:
        assert api.value("orderfleet_open_orders", state=state) == 0
    for name in ("overdue_orders", "pending_refunds", "oldest_pending_refund_seconds"):
        assert api.value(f"orderfleet_{name}") == 0
    assert api.value("orderfleet_migration_failed") == 0
    assert api.value("orderfleet_exporter_up", source="postgres") == 1
    assert api.value("orderfleet_exporter_up", source="temporal") == 1
    for queue in ("orders-tq", "shipping-tq"):
        for kind in ("workflow", "activity"):
            labels = {"task_queue": queue, "type": kind}
            assert api.value("orderfleet_task_queue_backlog", **labels) == 0
            assert api.value("orderfleet_task_queue_pollers", **labels) == 1


async def test_the_core_tells_seconds_with_15_as_an_edge(busy: Busy) -> None:
    worker = busy.scrapes["order-worker"]
    labels = {"workflow_type": "OrderWorkflow"}
    name = "temporal_workflow_endtoend_latency_seconds"
    number = len(busy.ended)
    assert worker.value(f"{name}_count", **labels) == number
    # Not milliseconds: a few seconds for each order.
    assert number < worker.value(f"{name}_sum", **labels) < 15 * number
    edges = {
        float(sample.labels["le"])
        for family in worker.families
        for sample in family.samples
        if sample.name == f"{name}_bucket"
    }
    assert {12.0, 15.0, 30.0} <= edges
    assert max(edges - {float("inf")}) == 30
    for one in WORKERS:
        for kind, core in (("workflow", "WorkflowWorker"), ("activity", "ActivityWorker")):
            slots = busy.scrapes[one].value("orderfleet_worker_slots", type=kind)
            free = busy.scrapes[one].value("temporal_worker_task_slots_available", worker_type=core)
            used = busy.scrapes[one].value("temporal_worker_task_slots_used", worker_type=core)
            assert free + used == slots == 100


@pytest.mark.parametrize("process", PROCESSES)
async def test_each_process_tells_its_pool_and_its_statements(busy: Busy, process: str) -> None:
    one = busy.scrapes[process]
    connections = one.value("orderfleet_database_connections")
    assert 1 <= connections <= one.value("orderfleet_database_pool_size") == 10
    name = "orderfleet_statement_duration_seconds"
    # Each order takes a few of every process, and all of them are fast.
    completed = one.value(f"{name}_count", outcome="completed")
    assert completed > len(busy.ended)
    assert 0 < one.value(f"{name}_sum", outcome="completed") < completed
    # Twins may collide, and try again.
    assert one.value(f"{name}_count", outcome="failed") < completed


async def test_no_label_is_without_bounds_or_collides(busy: Busy) -> None:
    values: dict[str, set[str]] = {}
    for one in busy.scrapes.values():
        for family in one.families:
            for sample in family.samples:
                for label, value in sample.labels.items():
                    values.setdefault(label, set()).add(value)
    assert values["temporal_namespace"] == {"default"}
    assert not values.keys() & {"namespace", "pod", "instance", "job", "container", "service_id"}
    for order_id in busy.ended:
        assert not [value for found in values.values() for value in found if order_id in value]
    assert {label: len(found) for label, found in values.items() if len(found) > 40} == {}


@pytest.mark.parametrize("process", PROCESSES)
async def test_the_documentation_has_what_a_scrape_has(busy: Busy, process: str) -> None:
    tables = documented()
    assert tables.keys() == {section for sections in SECTIONS.values() for section in sections}
    expected = {name: row for section in SECTIONS[process] for name, row in tables[section].items()}
    found = busy.scrapes[process].own()
    assert found == expected


@pytest.mark.parametrize("process", PROCESSES)
async def test_promtool_or_else_the_parser_alone_takes_them(busy: Busy, process: str) -> None:
    one = busy.scrapes[process]
    assert one.content_type == "text/plain; version=0.0.4; charset=utf-8"
    names = [family.name for family in one.families]
    assert len(names) == len(set(names))
    assert {name.split("_", 1)[0] for name in names} == {
        "temporal",
        "orderfleet",
        "process",
        "python",
    }
    promtool = shutil.which("promtool")
    if promtool is None:
        return
    child = await asyncio.create_subprocess_exec(
        promtool,
        "check",
        "metrics",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await child.communicate(one.text.encode())
    assert (said, child.returncode) == (b"", 0)


async def test_a_process_that_drains_says_so(busy: Busy) -> None:
    fleet = busy.orders.fleet
    name = "order-worker"
    order_id = await busy.orders.place("slow-charge")
    await busy.orders.until(order_id, "charging")
    before = await scrape(fleet, name)
    assert before.value("orderfleet_draining") == before.value("orderfleet_draining_seconds") == 0
    ending = asyncio.create_task(fleet.stop(name, signal.SIGTERM))
    told = await eventually(
        lambda: scrape(fleet, name), lambda one: one.value("orderfleet_draining") == 1
    )
    assert 0 < told.value("orderfleet_draining_seconds") < 5
    # The deadline of the orders that are pinned to its build, 2 s, and the drain.
    assert told.value("orderfleet_drain_limit_seconds") == 15 + 2 + 10
    assert await ending == 0
