"""The command line against a running fleet."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orderfleet_cli.local import Fleet
from tests.e2e.support.apis import DESK, run_api
from tests.e2e.support.orders import ENDS, Orders, new_id
from tests.support.cli import Cli, Outcome, ended

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def cli(fleet: Fleet, tmp_path: Path) -> Cli:
    return Cli(tmp_path, fleet.addresses)


@pytest.fixture
def desk_cli(cli: Cli, desk: Orders) -> Cli:
    """The command against an API whose orders are in review while it starts a few times."""
    api = {"ORDERFLEET_URL": str(desk.http.base_url), "ORDERFLEET_API_KEY": DESK}
    return Cli(cli.cwd, {**cli.env, **api})


async def _place(cli: Cli, kind: str = "plain") -> str:
    order_id = new_id(kind)
    accepted = await cli("start-workflow", order_id, f"pay-{order_id}", "--json")
    assert accepted.json == {"order_id": order_id, "state": "received"}
    return order_id


async def test_an_order_from_its_start_to_its_history(orders: Orders, cli: Cli) -> None:
    order_id = new_id("plain")
    start = ("start-workflow", order_id, f"pay-{order_id}", "--item", "A:2:1.50", "--wait")
    waited = await cli(*start)
    assert waited.status == 0, waited
    lines = waited.out.splitlines()
    assert (lines[0], lines[-1]) == (f"{order_id}: received", f"{order_id}: fulfilled")

    again, other = await asyncio.gather(
        cli(*start, "--json"), cli("start-workflow", order_id, f"pay-{order_id}")
    )
    assert again.json["state"] == "fulfilled"
    assert (other.status, "already exists with other contents" in other.error) == (1, True)

    await orders.last_status(order_id)
    status, record, described, events = await cli.all(
        *(f"{command} {order_id} --json" for command in ("status", "show", "describe", "history"))
    )
    assert status.json["state"] == "fulfilled"
    assert (record.json["amount"], len(record.json["events"])) == ("3.00", 8)
    assert described.json["status"] == "COMPLETED"
    assert described.json["search_attributes"]["OrderState"] == "fulfilled"
    assert described.json["pending_activities"] == []
    assert events.json["events"][0]["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"

    for outcome in await cli.all(
        *(f"{command} {order_id}" for command in ("status", "show", "describe", "history"))
    ):
        assert outcome.status == 0, outcome
        assert "fulfilled" in outcome.out or "workflow_execution_completed" in outcome.out
    # The last outcome is that of `history`: steps in a workflow task and patches are markers there.
    marked = [line.split()[3:] for line in outcome.out.splitlines() if "marker_recorded" in line]
    assert marked == [
        ["marker_recorded", "receive/1"],
        ["marker_recorded", "validate/1"],
        ["marker_recorded", "watched-shipping"],
    ]
    late = await cli.all(
        f"cancel {order_id}",
        f"update-address {order_id} --street S --city C",
        f"review {order_id} --approve",
    )
    assert [outcome.status for outcome in late] == [1, 1, 1]
    assert [outcome.error for outcome in late[:2]] == ["order is fulfilled"] * 2


async def test_changes_in_time(desk_cli: Cli) -> None:
    order_id = await _place(desk_cli)
    moved = await desk_cli(
        "update-address", order_id, "--street", "2 Oak Rd", "--city", "Shelbyville", "--json"
    )
    assert (moved.json["order_id"], moved.json["outcome"]) == (order_id, "applied")
    cancelled = await desk_cli("cancel", order_id, "--reason", "changed my mind")
    assert cancelled.out == f"{order_id}: applied, the order is cancelled\n"
    watched = await desk_cli("watch", order_id, "--json")
    assert (watched.status, watched.json_lines[-1]["state"]) == (0, "cancelled")
    record = (await desk_cli("show", order_id)).out
    assert "2 Oak Rd, Shelbyville" in record
    assert "changed my mind" in record


async def test_a_review(desk_cli: Cli) -> None:
    order_id = await _place(desk_cli)
    rejected = await desk_cli("review", order_id, "--reject", "--reviewer", "mia")
    assert rejected.out.startswith(f"{order_id}: applied, the order is ")
    watched = await desk_cli("watch", order_id)
    assert watched.out.splitlines()[-1].endswith(f"{order_id}  rejected")


async def test_waiting_for_an_order_that_fails(cli: Cli) -> None:
    order_id = new_id("declined")
    outcome = await cli("start-workflow", order_id, f"pay-{order_id}", "--wait", "--json")
    assert outcome.status == 1
    assert outcome.error.startswith(f"{order_id} ended failed: ")


async def test_orders_that_do_not_exist(cli: Cli) -> None:
    for outcome in await cli.all(
        "status nobody",
        "show nobody",
        "cancel nobody",
        "describe nobody",
        "history nobody",
        "watch nobody",
    ):
        assert (outcome.status, outcome.out) == (1, ""), outcome
        assert "nobody" in outcome.error
    wrong = await cli("list", "--cursor", "nonsense")
    assert (wrong.status, "cursor" in wrong.error) == (2, True)


async def test_the_listing_page_by_page(cli: Cli) -> None:
    placed = [await _place(cli) for _ in range(2)]
    first = (await cli("list", "--limit", "1", "--json")).json
    second = (await cli("list", "--limit", "1", "--cursor", first["next"], "--json")).json
    assert [page["orders"][0]["id"] for page in (first, second)] == placed[::-1]
    shown = await cli("list", "--limit", "1")
    assert placed[1] in shown.out
    assert shown.err.startswith("more: --cursor ")
    states = (await cli("list", "--state", "fulfilled", "--json")).json["orders"]
    assert {order["state"] for order in states} <= {"fulfilled"}


async def test_a_board_of_all_until_ctrl_c(cli: Cli) -> None:
    process = await cli.begin("watch")
    order_id = await _place(cli)
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while order_id.encode() not in await process.stdout.readline():
            pass
    process.send_signal(signal.SIGINT)
    outcome = await ended(process)
    assert (outcome.status, outcome.err) == (130, "")


async def test_the_events_of_all_orders(cli: Cli) -> None:
    order_id = new_id("plain")
    process = await cli.begin("events", "--follow", "--order", order_id, "--json")
    await cli("start-workflow", order_id, f"pay-{order_id}", "--wait")
    page = (await cli("events", "--order", order_id, "--json")).json
    types = [event["type"] for event in page["events"]]
    assert (types[0], types[-1]) == ("received", "fulfilled")
    shown = await cli("events", "--order", order_id, "--state", "fulfilled")
    assert shown.out.splitlines()[-1].split()[2:6] == [order_id, "8", "fulfilled", "fulfilled"]
    assert shown.err.startswith("more: --after ")
    process.send_signal(signal.SIGINT)
    outcome = await ended(process)
    assert outcome.status == 130
    # It may have begun after the order.
    assert outcome.json_lines
    assert [line["id"] for line in outcome.json_lines] == [
        event["id"] for event in page["events"][-len(outcome.json_lines) :]
    ]
    rest = await cli("events", "--after", page["cursor"], "--order", order_id, "--json")
    assert rest.json["events"] == []


async def test_a_little_load(cli: Cli) -> None:
    outcome = await cli("load", "--rate", "2", "--seconds", "2", "--json")
    results: dict[str, Any] = Outcome(0, outcome.out, "").json
    assert (results["accepted"], results["refused"], results["not_ended"]) == (4, {}, 0)
    assert set(results["ended"]) <= ENDS
    assert outcome.status == (0 if results["share_in_time"] == 1 else 1)
    assert results["accept_seconds"]["p50"] <= results["accept_seconds"]["p99"]


async def test_the_doctor(cli: Cli) -> None:
    well, faulty, elsewhere = await asyncio.gather(
        cli("doctor", "--json"),
        cli("doctor", ORDERFLEET_GATEWAY_FAULTS="[{}]"),
        cli("doctor", ORDER_TASK_QUEUE="nobodys-tq", TEMPORAL_NAMESPACE="nowhere"),
    )
    assert well.json["ok"], well
    checks = {check["name"]: check for check in well.json["checks"]}
    workers = [check for name, check in checks.items() if name.startswith("worker ")]
    assert len(checks) - len(workers) == 16
    assert all(checks[name]["ok"] for name in ("admission", "API", "payload keys"))
    # Others were killed of late.
    running = [worker["found"] for worker in workers if worker["ok"]]
    for queue in ("orders-tq", "shipping-tq"):
        assert sum(found.startswith(f"running on {queue}, build ") for found in running) == 1
    assert _failed(faulty) == ["fault injection"]
    assert _failed(elsewhere)[:3] == ["namespace nowhere", "search attribute", "order workers"]


async def test_the_doctor_when_admission_is_off(
    cli: Cli, orders: Orders, unused_tcp_port_factory: Callable[[], int]
) -> None:
    port = unused_tcp_port_factory()
    env = {"ORDERFLEET_ADMISSION": "off", "ORDERFLEET_PROBE_PORT": str(port)}
    async with run_api(orders, unused_tcp_port_factory, env):
        outcome = await cli("doctor", ORDERFLEET_API_INTERNAL_URL=f"http://127.0.0.1:{port}")
    assert _failed(outcome) == ["admission"]


def _failed(outcome: Outcome) -> list[str]:
    assert outcome.status == 1, outcome
    lines = [line for line in outcome.out.splitlines() if line.startswith("FAIL")]
    return [line[4:].strip().split("  ")[0].removesuffix(" OrderState") for line in lines]
