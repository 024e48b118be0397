"""The report of `make bench-overload`: goals first, then the loads behind them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.bench.overload.goals import goals
from tests.bench.table import table

_MS: Final = 1000.0

Load = Mapping[str, Any]


def sections(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """Return the sections by title; those that were not measured are empty."""
    return {
        "Goals": _goals(figures),
        "P, orders a second fulfilled in time without admission": _peaks(figures),
        "Loads": _loads(figures),
        "Refusals": _refusals(figures),
        "CPU over the load, seconds": _cpu(figures),
    }


def _goals(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    rows = (
        (row.what, row.goal, row.measured, row.n, "yes" if row.met else "**no**")
        for row in goals(figures)
    )
    return table(("", "goal", "measured", "n", "met"), rows)


def _peaks(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    rows = (
        (name, ", ".join(f"{one['per_second']:.1f}" for one in figures[name]))
        for name in ("P", "P, slow gateway")
        if name in figures
    )
    return table(("", "orders a second"), rows)


def _named_loads(
    figures: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Iterator[tuple[str, Load]]:
    parts = {"above": "", "below": ", then 0.7 P", "load": ""}
    parts |= {"alone": ": B alone", "beside": ": B beside A", "greedy": ": A"}
    for name, each in figures.items():
        for figure in each:
            for part, shown in parts.items():
                if figure.get(part):
                    yield f"{name}{shown}", figure[part]


def _loads(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    head = (
        *("", "orders a second", "seconds", "offered", "accepted", "started", "in time"),
        *("fulfilled", "fulfilled a second", "closed by Temporal", "refunded"),
        *("accepted within p50, p99, ms", "ended within p50, p95, p99, s"),
        "generator late p99, ms",
    )
    counts = ("offered", "accepted", "started", "in_time", "fulfilled")
    rows = (
        (
            name,
            f"{load['rate']:.1f}",
            f"{load['seconds']:.0f}",
            *(str(load[count]) for count in counts),
            f"{load['fulfilled_per_second']:.1f}",
            str(load["timed_out"]),
            str(load["refunded"]),
            ", ".join(_latency(load["accept_seconds"], 0, _MS)[::2]),
            ", ".join(_latency(load["end_seconds"], 2)),
            ", ".join(_latency(load["generator_late"], 1, _MS)[-1:]),
        )
        for name, load in _named_loads(figures)
    )
    return table(head, rows)


def _refusals(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    rows = (
        (
            name,
            ", ".join(f"{count} {reason}" for reason, count in sorted(load["refused"].items())),
            ", ".join(_latency(load["refusal_seconds"], 0, _MS)),
            " to ".join(map(str, load["retry_after"])),
        )
        for name, load in _named_loads(figures)
        if load["refused"]
    )
    return table(("", "refused", "p50, p95, p99, ms", "Retry-After, s"), rows)


def _cpu(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    used = {
        name: figure["cpu_seconds"]
        for name in ("3 P", "3 P, slow gateway")
        for figure in figures.get(name, ())
    }
    names = list(dict.fromkeys(part for each in used.values() for part in each))
    rows = ((name, *(f"{each[part]:.1f}" for part in names)) for name, each in used.items())
    return table(("", *names), rows)


def _latency(seconds: Mapping[str, float], digits: int, scale: float = 1.0) -> list[str]:
    return [f"{one * scale:.{digits}f}" for one in seconds.values()]
