"""The benchmark's arithmetic: what it places, what it counts, what it says of it."""

import asyncio
from itertools import pairwise, takewhile

import pytest

from tests.bench.http import RefusedError, placing
from tests.bench.load import Rate, place
from tests.bench.plans import PLANS
from tests.bench.report import report
from tests.bench.spread import Spread, percentiles, ratio
from tests.bench.trial import peak


def test_a_plateau_is_even() -> None:
    moments = list(Rate(4, 2).moments())
    assert len(moments) == 8
    assert {later - sooner for sooner, later in pairwise(moments)} == {0.25}


def test_after_the_plateau_the_rate_rises() -> None:
    moments = list(takewhile(lambda at: at < 20, Rate(4, 10, rise=1).moments()))
    # 4 a second for 10 s, then from 4 to 14 a second in 10 s: 9 a second on average.
    assert len(moments) == pytest.approx(40 + 90, abs=2)
    gaps = [later - sooner for sooner, later in pairwise(moments[40:])]
    assert gaps == sorted(gaps, reverse=True)


async def test_what_is_not_accepted_is_counted_and_holds_nothing_up() -> None:
    async def send(order_id: str) -> None:
        if order_id.endswith("-3"):
            raise ConnectionError
        await asyncio.sleep(0.01)

    placed = await place("p", Rate(100, 0.1), send)
    assert len(placed.due) == 10
    assert placed.due.keys() - placed.accepted.keys() == {"p-3"}
    assert placed.refused == {"ConnectionError": 1}
    assert all(seconds >= 0.01 for seconds in placed.accepted.values())


async def test_a_load_is_called_off() -> None:
    stop = asyncio.Event()

    async def send(_: str) -> None:
        stop.set()

    placed = await place("p", Rate(50, 1, rise=1), send, stop)
    assert len(placed.due) < 5


@pytest.mark.parametrize(
    ("moments", "most"),
    [
        ([], 0.0),
        ([1.0], 0.1),
        # Ten seconds apart is a window apart.
        ([0.0, 10.0, 20.0], 0.1),
        ([0.0, 1.0, 9.9, 10.5, 30.0], 0.3),
    ],
)
def test_the_peak_is_the_best_window(moments: list[float], most: float) -> None:
    assert peak(moments, window=10) == most


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert percentiles(range(1, 201)) == {"p50": 100, "p95": 190, "p99": 198}
    assert percentiles([]) == {}


def test_a_ratio_is_taken_run_by_run() -> None:
    assert ratio([2, 30], [1, 10]) == Spread(2, 2.5, 3)
    with pytest.raises(ValueError, match="longer"):
        ratio([1], [1, 2])


def test_a_spread_that_is_none_is_not_shown() -> None:
    assert Spread.of([1.0]).shown() == "1.0"
    assert Spread.of([3.0, 1.0, 2.0]).shown(0) == "2 (1 to 3)"


def test_only_and_runs_limit_a_plan() -> None:
    plan = PLANS["full"].limited(2, ["floor", "old orders"])
    assert (plan.runs, list(plan.parts), list(plan.once)) == (2, ["floor"], ["old orders"])
    assert not PLANS["short"].limited(None, ["nothing"]).parts


def test_the_report_tells_ratios_and_latencies() -> None:
    def trial(peak: float, cpu: float) -> dict[str, object]:
        shares = {"p50": 0.01, "p95": 0.02, "p99": 0.03}
        return {
            "peak": peak,
            "accepted": 5,
            "ended": 5,
            "fulfilled": 4,
            "memory": {"api": 2**21},
            "cpu_seconds": {"api": cpu, "temporal": 0.1},
            "accept_seconds": shares,
            "end_seconds": shares,
        }

    rates = {"orderfleet": [trial(8, 0.03)] * 2, "floor": [trial(10, 0.01), trial(16, 0.01)]}
    about = {
        "plan": "short",
        "began": "today",
        "cores": 2,
        "processor": "x",
        "memory_gib": 1,
        "commit": "abc",
        "changed_since": True,
        "versions": {"python": "3"},
    }
    ended = {"postgres": {"fulfilled": 8, "timed_out": 2}, "temporal": {"completed": 10}}
    books = {"orderfleet": [ended, ended]}
    text = report({"about": about, "figures": {"rates": rates, "books": books}})
    assert "| orderfleet : floor | orders a second | 0.65 (0.50 to 0.80) | >= 0.80 |" in text
    assert "| orderfleet | 8.0 | 10, 20, 30 | 0.01, 0.02, 0.03 | 10, 10, 8 |" in text
    assert "| orderfleet | 30.0 | 100.0 | 130.0 |" in text
    assert "| orderfleet | 16 fulfilled, 4 timed_out | 20 completed |" in text
    assert "abc with changes" in text
    assert "HTTP alone" not in text


async def test_orders_are_placed_on_kept_connections_until_the_server_closes_them() -> None:
    statuses = [["202 Accepted", "409 Conflict"], ["202 Accepted"]]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for status in statuses.pop(0):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            assert b'"payment_id":"pay-o"' in await reader.readexactly(length)
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, placing(port) as orders:
        await orders.start("o")
        with pytest.raises(RefusedError, match="409"):
            await orders.start("o")
        await asyncio.sleep(0.05)
        await orders.start("o")
    assert statuses == []
