"""The arithmetic of `make bench-overload`: what it offers, how it judges, what it reports."""

import asyncio
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.bench.overload.calm import CalmFigure
from tests.bench.overload.figures import (
    LoadFigure,
    Recovery,
    load_figure,
    recovery,
    smooth,
    timeline,
)
from tests.bench.overload.fleet import numbered, periods
from tests.bench.overload.goals import goals
from tests.bench.overload.loads import StepFigure
from tests.bench.overload.offer import Client, Sent, Step, moments, offer
from tests.bench.overload.outage import Return, after_return
from tests.bench.overload.outcomes import Outcome
from tests.bench.overload.report import sections
from tests.bench.overload.tenants import TenantsFigure
from tests.bench.overload.watch import admission_gauges
from tests.bench.spread import Spread


def sent(name: str, due: float, status: int = 202, seconds: float = 0.01) -> Sent:
    reason = "" if status == 202 else "429 busy" if status else "no answer: TimeoutError"
    return Sent(name, due, 0.0, seconds, status, reason, 3 if status == 429 else None)


def outcome(started: float, ended: float | None, **changes: Any) -> Outcome:
    fulfilled = Outcome(started, "completed", "fulfilled", ended, reconciled=False, refunded=False)
    return msgspec.structs.replace(fulfilled, **changes)


def test_steps_follow_each_other() -> None:
    due = list(moments([Step(4, 2), Step(1, 3)]))
    assert due == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 3, 4]
    assert periods(10, [Step(4, 2), Step(1, 3)]) == [(10, 12), (12, 15)]


async def test_each_request_has_its_answer_and_a_kept_connection() -> None:
    """A refusal has a reason and a time; a connection that closes is no answer, and a new one."""
    answers = [
        b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 429 Busy\r\nRetry-After: 4\r\ncontent-length: 17\r\n\r\n" + b'{"reason":"busy"}',
        b"",
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nnope",
    ]
    connections, heads = 0, []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while answers:
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            await reader.readuntil(b"}}")
            answer = answers.pop(0)
            writer.write(answer)
            if not answer:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        client = Client(server.sockets[0].getsockname()[1], key="secret")
        each = await offer(numbered("p"), [Step(20, 0.2)], client.place)
        client.close()
    assert [(one.name, one.status, one.reason, one.retry_after) for one in each] == [
        ("p-0", 202, "", None),
        ("p-1", 429, "429 busy", 4),
        ("p-2", 0, "no answer: IncompleteReadError", None),
        ("p-3", 503, "503", None),
    ]
    assert connections == 2
    assert all(b"authorization: Bearer secret\r\n" in head for head in heads)
    assert all(later.due > sooner.due for sooner, later in pairwise(each))


@pytest.mark.parametrize(
    ("order", "in_time"),
    [
        (outcome(0, 14.9), True),
        (outcome(0, 14.9, state="rejected"), True),
        (outcome(0, 15.1), False),
        (outcome(0, None), False),
        (outcome(0, 14.9, reconciled=True), False),
        (outcome(0, 14.9, workflow="timed_out"), False),
    ],
)
def test_in_time_is_by_the_fleet_and_within_the_deadline(order: Outcome, in_time: bool) -> None:
    assert order.in_time is in_time


def test_a_load_is_its_own_orders_and_what_ended_meanwhile() -> None:
    each = [
        sent("early", 9),
        sent("quick", 10),
        sent("slow", 11),
        sent("unanswered", 12, 0, 10.0),
        sent("refused", 13, 429, 0.04),
        sent("late", 14),
        sent("after", 30),
    ]
    ends = {
        "early": outcome(9, 16),
        "quick": outcome(10, 12.5),
        "slow": outcome(11, 20),
        "unanswered": outcome(12, 29, workflow="timed_out", state="timed_out", refunded=True),
        "late": outcome(14, 29.5),
        "after": outcome(30, 33),
    }
    figure = load_figure(2, (10, 30), each, ends)
    assert (figure.offered, figure.accepted, figure.started) == (5, 3, 4)
    assert (figure.in_time, figure.fulfilled, figure.timed_out, figure.refunded) == (2, 2, 1, 1)
    # Of the ends from 5 s on: those of `early` and `slow`, in 15 s.
    assert figure.fulfilled_per_second == pytest.approx(2 / 15)
    assert figure.refused == {"no answer: TimeoutError": 1, "429 busy": 1}
    assert figure.refusal_seconds["p99"] == 0.04
    assert figure.retry_after == [3, 3]
    assert figure.end_seconds["p99"] == 9


def test_the_recovery_lasts_until_nothing_is_refused_for_10_s() -> None:
    refused = [sent("r", due, 429) for due in (99, 101, 104, 120)]
    accepted = [sent("a", due) for due in (102, 105, 115, 125)]
    assert recovery(100, [*refused, *accepted]) == Recovery(4, 3, 1)
    assert recovery(100, accepted) == Recovery(0, 2, 0)


def test_the_timeline_has_each_second() -> None:
    each = [sent("a", 10), sent("b", 10.5, 429), sent("c", 12)]
    ends = {"a": outcome(10, 12.5), "c": outcome(12, 13.9, state="failed")}
    seconds = timeline(each, ends)
    assert [(one.offered, one.accepted, one.refused, one.fulfilled) for one in seconds] == [
        (2, 1, 1, 0),
        (0, 0, 0, 0),
        (1, 1, 0, 1),
        (0, 0, 0, 0),
    ]
    assert [one.end_p99 for one in seconds] == [None, None, 2.5, pytest.approx(1.9)]
    assert timeline([], {}) == []


def load(**changes: Any) -> LoadFigure:
    figure = LoadFigure(
        rate=30,
        seconds=60,
        offered=1800,
        accepted=1000,
        started=1000,
        in_time=999,
        fulfilled=999,
        timed_out=0,
        refunded=1,
        fulfilled_per_second=9.5,
        refused={"429 busy": 800},
        refusal_seconds={"p99": 0.05},
        retry_after=[1, 3],
        accept_seconds={"p99": 0.02},
        end_seconds={"p99": 4.0},
        generator_late={"p99": 0.001},
    )
    return msgspec.structs.replace(figure, **changes)


def step(above: LoadFigure) -> dict[str, Any]:
    recovered = Recovery(seconds=10.0, offered=1000, refused=0)
    figure = StepFigure(9.0, 10.0, above, load(), recovered, [], [], {})
    document: dict[str, Any] = msgspec.to_builtins(figure)
    return document


def test_goals_that_are_just_met() -> None:
    rows = goals({"3 P": [step(load())]})
    assert len(rows) == 7
    assert all(row.met for row in rows)
    assert rows[0].measured == "99.90 %"
    assert rows[3].what.endswith("of P (the more of 9.0 orders/s before, 10.0 after)")


def test_goals_that_are_just_missed() -> None:
    missed = load(
        in_time=998,
        timed_out=1,
        refunded=2,
        fulfilled_per_second=9.4,
        refusal_seconds={"p99": 0.051},
    )
    assert [row.met for row in goals({"3 P": [step(missed)]})] == [False] * 5 + [True] * 2
    # Without a refusal there is nothing to be quick about, and no overload.
    assert not goals({"3 P": [step(load(refusal_seconds={}))]})[4].met


def test_memory_is_flat_if_it_hardly_grows() -> None:
    figure: dict[str, Any] = {
        "load": msgspec.to_builtins(load()),
        "memory": [100, 109, 105],
        "read_seconds": {"p99": 0.2},
        "reads": 600,
        "reads_failed": 0,
    }
    assert [row.met for row in goals({"10 P": [figure]})] == [True, True]
    grown = figure | {"memory": [100, 111, 105], "reads_failed": 1}
    assert [row.met for row in goals({"10 P": [grown]})] == [False, False]


def test_only_what_starts_after_the_return_has_to_end_in_time() -> None:
    ends = [
        outcome(90, 104, state="failed"),
        outcome(70, 101, workflow="timed_out"),
        outcome(101, 104.5),
        outcome(102, 118),
    ]
    returned = after_return(100, ends)
    assert returned == Return(first_fulfilled=4.5, accepted=2, late=1)
    assert after_return(100, []) == Return(None, 0, 0)
    outage = {"away": [15.0, 47.0], "returned": msgspec.to_builtins(returned)}
    first, late = goals({"outage of Temporal": [outage]})
    assert (first.met, first.measured) == (True, "4.5 s")
    assert (late.met, late.measured, late.n) == (False, "1", "of 2")
    assert "Temporal away for 32 s" in first.what


def test_a_tenant_beside_a_greedy_one_is_compared_to_itself_alone() -> None:
    quiet = load(rate=1, offered=120, accepted=119, started=119, in_time=119)
    beside = msgspec.structs.replace(quiet, end_seconds={"p99": 6.0})
    greedy = load(rate=100)
    figure = TenantsFigure(quiet, beside, greedy)
    rows = goals({"tenants": [msgspec.to_builtins(figure)]})
    assert [row.met for row in rows] == [True, True, True]
    assert rows[1].measured == "1.50 (6.00 s to 4.00 s)"
    worse = msgspec.structs.replace(beside, accepted=118, in_time=118, end_seconds={"p99": 6.1})
    figure = TenantsFigure(quiet, worse, greedy)
    rows = goals({"tenants": [msgspec.to_builtins(figure)]})
    assert [row.met for row in rows] == [False, False, False]


def test_calm_load_costs_the_same() -> None:
    figure = CalmFigure(
        turns=2,
        rate=2.5,
        cpu_seconds={},
        api_cpu_seconds={},
        cpu=Spread(0.99, 1.02, 1.05),
        accept=Spread(0.95, 1.05, 1.15),
        accept_seconds={"on": {"p99": 0.021}, "off": {"p99": 0.02}},
        orders={"on": 200, "off": 200},
    )
    document = msgspec.to_builtins(figure)
    assert [row.met for row in goals({"calm": [document]})] == [True, True]
    document["cpu"]["median"] = 1.03
    document["accept"]["median"] = 1.06
    assert [row.met for row in goals({"calm": [document]})] == [False, False]


def test_the_report_has_goals_and_loads() -> None:
    """What was not measured has no section."""
    figure = step(load(in_time=990))
    figure["timeline"] = msgspec.to_builtins(timeline([sent("a", 10)], {"a": outcome(10, 12.5)}))
    figure["gauges"] = [{"limit": 20.0, "waiting": 3.0}, {}]
    figure["cpu_seconds"] = {"api": 12.34}
    shown = sections({"P": [{"per_second": 10.0}], "3 P": [figure]})
    assert "| 99.00 % | 990 of 1000 | **no** |" in shown["Goals"]
    assert "| P | 10.0 |" in shown["P, orders a second fulfilled in time without admission"]
    assert "| 3 P, then 0.7 P | 30.0 | 60 |" in shown["Loads"]
    assert "| 3 P | 800 429 busy | 50 | 1 to 3 |" in shown["Refusals"]
    assert "| 3 P | 12.3 |" in shown["CPU over the load, seconds"]
    assert not any(sections({}).values())


def test_admission_gauges_are_those_without_labels() -> None:
    text = (
        "# TYPE orderfleet_admission_limit gauge\norderfleet_admission_limit 12.5\n"
        'orderfleet_admission_share{tenant="a"} 3.0\norderfleet_orders_open 4.0\n'
    )
    assert admission_gauges(text) == {"limit": 12.5}


def test_a_line_is_smooth_to_its_ends() -> None:
    assert smooth([0, 3, 0, 9, 0, 0]) == [1, 3, 2.4, 2.4, 2.25, 3]
