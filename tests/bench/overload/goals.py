"""The goals of issue 23's table, each with what was measured: one row a goal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

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
    return [
        *(row for one in figures.get("3 P", ()) for row in _step("3 P", one)),
        *(row for one in figures.get("10 P", ()) for row in _flood(one)),
        *(
            row
            for one in figures.get("3 P, slow gateway", ())
            for row in list(_above("3 P, payment gateway 2 s, 20 slots", one))[:4]
        ),
    ]


def _step(name: str, figure: Mapping[str, Any]) -> Iterator[Row]:
    yield from _above(name, figure)
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
    of_peak = load["fulfilled_per_second"] / figure["peak"] if figure["peak"] else 0.0
    yield Row(
        f"{name}: fulfilled a second, of P ({figure['peak']:.1f} orders/s)",
        ">= 0.95",
        f"{of_peak:.2f}",
        f"{load['fulfilled']} orders",
        of_peak >= OF_PEAK,
    )
    yield _refusals(name, load)


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


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"
