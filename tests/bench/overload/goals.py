"""The goals of issue 23's table, each with what was measured: one row a goal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from tests.bench.spread import Spread

_MS: Final = 1000.0
_MIB: Final = 2.0**20
IN_TIME: Final = 0.999
REFUNDED: Final = 0.001
OF_PEAK: Final = 0.95
REFUSAL_SECONDS: Final = 0.05
REFUSED_BELOW: Final = 0.001
RECOVERY: Final = 10.0
READ_SECONDS: Final = 0.2
# Of the memory before the load: the API serves ten times the requests, so its buffers grow once.
MEMORY: Final = 1.1
RETURN: Final = 5.0
OF_ALONE: Final = 1.5
REFUSED_BESIDE: Final = 0.01
CALM_CPU: Final = 1.02
CALM_ACCEPT: Final = 1.05

Figures = Mapping[str, Sequence[Mapping[str, Any]]]


class Row(NamedTuple):
    """A goal, what was measured, out of how many, and whether that is the goal."""

    what: str
    goal: str
    measured: str
    n: str
    met: bool


def goals(figures: Figures) -> list[Row]:
    """Return the rows of what was measured, in the table's order."""
    kinds: dict[str, Callable[[Mapping[str, Any]], Iterator[Row]]] = {
        "3 P": _step,
        "10 P": _flood,
        "3 P, slow gateway": _slow,
        "outage of Temporal": partial(_outage, "Temporal"),
        "outage of Postgres": partial(_outage, "Postgres"),
        "tenants": _tenants,
        "calm": _calm,
    }
    return [
        row for name, rows in kinds.items() for one in figures.get(name, ()) for row in rows(one)
    ]


def _step(figure: Mapping[str, Any]) -> Iterator[Row]:
    yield from _above("3 P", figure)
    yield _refusals("3 P", figure["above"])
    below, recovered = figure["below"], figure["recovery"]
    if not below:
        return
    share = _share(recovered["refused"], recovered["offered"])
    yield Row(
        f"0.7 P for {below['seconds']:g} s: refused, from 10 s after the fall on",
        "< 0.1 %",
        _percent(share),
        f"{recovered['refused']} of {recovered['offered']}",
        share < REFUSED_BELOW,
    )
    yield Row(
        "back to no refusals after the load falls to 0.7 P",
        "<= 10 s",
        f"{recovered['seconds']:.1f} s",
        "1",
        recovered["seconds"] <= RECOVERY,
    )


def _above(name: str, figure: Mapping[str, Any]) -> Iterator[Row]:
    load = figure["above"]
    orders = load["started"]
    in_time = _share(load["in_time"], orders)
    yield Row(
        f"{name} for {load['seconds']:g} s: accepted orders that end in time by the fleet",
        ">= 99.9 %",
        _percent(in_time),
        f"{load['in_time']} of {orders}",
        in_time >= IN_TIME,
    )
    yield Row(
        f"{name}: closed by Temporal's timeout",
        "0",
        str(load["timed_out"]),
        f"of {orders}",
        not load["timed_out"],
    )
    refunded = _share(load["refunded"], orders)
    yield Row(
        f"{name}: charged, then refunded",
        "<= 0.1 %",
        _percent(refunded),
        f"{load['refunded']} of {orders}",
        refunded <= REFUNDED,
    )
    # The more of both: what disturbs a measurement lowers it.
    peaks = figure["peak"], figure["peak_after"]
    of_peak = _share(load["fulfilled_per_second"], max(peaks))
    before, after = (f"{peak:.1f}" for peak in peaks)
    yield Row(
        f"{name}: fulfilled a second, of P (the more of {before} orders/s before, {after} after)",
        ">= 0.95",
        f"{of_peak:.2f}",
        f"{load['fulfilled']} orders",
        of_peak >= OF_PEAK,
    )


def _slow(figure: Mapping[str, Any]) -> Iterator[Row]:
    yield from _above("payment gateway 2 s, 20 slots: 3 of its P", figure)


def _refusals(name: str, load: Mapping[str, Any]) -> Row:
    p99 = load["refusal_seconds"].get("p99")
    return Row(
        f"{name}: refusals, p99",
        "<= 50 ms",
        "none" if p99 is None else f"{p99 * _MS:.0f} ms",
        str(load["offered"] - load["accepted"]),
        p99 is not None and p99 <= REFUSAL_SECONDS,
    )


def _flood(figure: Mapping[str, Any]) -> Iterator[Row]:
    load, memory = figure["load"], figure["memory"]
    before, most, after = memory[0], max(memory), memory[-1]
    yield Row(
        f"10 P for {load['seconds']:g} s: the API's memory before, most, after",
        "flat: most <= 1.1 times before",
        ", ".join(f"{one / _MIB:.0f}" for one in (before, most, after)) + " MiB",
        f"{load['offered']} requests",
        most <= MEMORY * before,
    )
    p99 = figure["read_seconds"]["p99"]
    yield Row(
        "10 P: reads of orders meanwhile, p99",
        "<= 200 ms",
        f"{p99 * _MS:.0f} ms",
        f"{figure['reads']}, {figure['reads_failed']} failed",
        p99 <= READ_SECONDS and not figure["reads_failed"],
    )


def _outage(of: str, figure: Mapping[str, Any]) -> Iterator[Row]:
    returned = figure["returned"]
    first, accepted, late = (returned[what] for what in ("first_fulfilled", "accepted", "late"))
    killed, back = figure["away"]
    yield Row(
        f"{of} away for {back - killed:.0f} s: first order fulfilled in time after its return",
        "<= 5 s",
        "none" if first is None else f"{first:.1f} s",
        "1",
        first is not None and first <= RETURN,
    )
    yield Row(
        f"{of}: accepted after its return, and late",
        "0",
        str(late),
        f"of {accepted}",
        not late and accepted > 0,
    )


def _tenants(figure: Mapping[str, Any]) -> Iterator[Row]:
    alone, beside, greedy = (figure[name] for name in ("alone", "beside", "greedy"))
    in_time = _share(beside["in_time"], beside["started"])
    name = f"B at 1 order/s beside A at {greedy['rate']:.0f}"
    yield Row(
        f"{name} (10 P) for {beside['seconds']:g} s: B in time",
        ">= 99.9 %",
        _percent(in_time),
        f"{beside['in_time']} of {beside['started']}",
        in_time >= IN_TIME,
    )
    ends = [one["end_seconds"].get("p99", 0.0) for one in (beside, alone)]
    times = _share(*ends)
    yield Row(
        "B: p99 from accepted to ended, to B's alone",
        "<= 1.5",
        f"{times:.2f} ({ends[0]:.2f} s to {ends[1]:.2f} s)",
        f"{beside['in_time']}, {alone['in_time']}",
        0 < times <= OF_ALONE,
    )
    refused = beside["offered"] - beside["accepted"]
    share = _share(refused, beside["offered"])
    yield Row(
        "B: refused",
        "< 1 %",
        _percent(share),
        f"{refused} of {beside['offered']}",
        share < REFUSED_BESIDE,
    )


def _calm(figure: Mapping[str, Any]) -> Iterator[Row]:
    load = f"calm load ({figure['rate']:.1f} orders/s), admission on to off"
    turns = f"{figure['turns']} turns each, {sum(figure['orders'].values())} orders"
    cpu, accept = Spread(**figure["cpu"]), Spread(**figure["accept"])
    yield Row(f"{load}: CPU of an order", "<= 1.02", cpu.shown(3), turns, cpu.median <= CALM_CPU)
    on, off = (figure["accept_seconds"][kind]["p99"] * _MS for kind in ("on", "off"))
    yield Row(
        f"{load}: accepted within, p99",
        "<= 1.05",
        f"{accept.shown(2)}; all turns: {on:.0f} ms to {off:.0f} ms",
        turns,
        accept.median <= CALM_ACCEPT,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"
