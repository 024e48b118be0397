"""The samples of a soak, and what they say: is it flat?"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Final

from msgspec import Struct

MIB: Final = 2**20
# A soak of less says nothing of an hour: caches still fill.
_SHORTEST_SECONDS: Final = 1800.0
_HOUR: Final = 3600.0
# Growth in an hour that counts as flat: of the mean, and at least so much.
_SHARE: Final = 0.10
_LEAST_MEMORY: Final = 8 * MIB
_LEAST_DESCRIPTORS: Final = 5
_LEAST_EVENTS: Final = 2
# Of a table's rows. Autovacuum begins at 20 % by Postgres' own settings.
_MOST_DEAD: Final = 0.3
# A table of few rows is all dead rows between two runs of autovacuum.
_FEW_ROWS: Final = 10_000
# Bytes an order, of the last quarter beside the third.
_MORE_BYTES: Final = 0.15


class Process(Struct, frozen=True):
    """What a service's processes hold."""

    memory: int
    descriptors: int


class Table(Struct, frozen=True):
    """A table's bytes and rows; its indexes and TOAST are in `size`, `indexes` are a part of it."""

    size: int
    indexes: int
    live: int
    dead: int


class Sample(Struct, frozen=True):
    """One look at everything."""

    at: float
    orders: int
    processes: dict[str, Process]
    tables: dict[str, Table]
    history_events: float
    history_bytes: float
    """Means of the order workflows that closed last."""


class Verdict(Struct, frozen=True):
    """Whether one value is flat in the second half."""

    name: str
    first: float
    last: float
    hourly: float
    """Growth in an hour, by the slope of the second half."""
    flat: bool


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line through the points, by least squares."""
    at, value = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - at) ** 2 for x, _ in points)
    return sum((x - at) * (y - value) for x, y in points) / spread if spread else 0.0


def second_half(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return the samples of the second half of the time."""
    middle = (samples[0].at + samples[-1].at) / 2
    return [sample for sample in samples if sample.at >= middle]


def is_long_enough(samples: Sequence[Sample]) -> bool:
    """Tell whether the soak was long enough to be judged."""
    return samples[-1].at - samples[0].at >= _SHORTEST_SECONDS


def verdicts(samples: Sequence[Sample]) -> list[Verdict]:
    """Judge memory, descriptors, histories and tables over the second half."""
    half = second_half(samples)
    return [*_processes(half), *_histories(half), *_tables(samples, half)]


def _processes(half: Sequence[Sample]) -> Iterator[Verdict]:
    for name in half[-1].processes:
        held = [(sample.at, sample.processes[name]) for sample in half]
        yield _flat(
            f"memory of {name}, MiB",
            [(at, process.memory / MIB) for at, process in held],
            _LEAST_MEMORY / MIB,
        )
        yield _flat(
            f"descriptors of {name}",
            [(at, float(process.descriptors)) for at, process in held],
            _LEAST_DESCRIPTORS,
        )


def _histories(half: Sequence[Sample]) -> Iterator[Verdict]:
    events = [(sample.at, sample.history_events) for sample in half]
    yield _flat("events of an order's history", events, _LEAST_EVENTS)


def _flat(name: str, points: Sequence[tuple[float, float]], least: float) -> Verdict:
    hourly = slope(points) * _HOUR
    mean = fmean(value for _, value in points)
    flat = hourly <= max(mean * _SHARE, least)
    return Verdict(name, points[0][1], points[-1][1], hourly, flat)


def _tables(samples: Sequence[Sample], half: Sequence[Sample]) -> Iterator[Verdict]:
    """Judge dead rows, and whether an order takes ever more bytes."""
    for name in sorted(half[-1].tables):
        table = half[-1].tables[name]
        if table.live + table.dead > _FEW_ROWS:
            share = [(sample.at, _dead_share(sample.tables[name])) for sample in half]
            most = max(value for _, value in share)
            yield Verdict(
                f"dead rows of {name}, share",
                share[0][1],
                share[-1][1],
                slope(share) * _HOUR,
                most <= _MOST_DEAD,
            )
    *_, third, last = bytes_per_order(samples)
    flat = last <= third * (1 + _MORE_BYTES)
    yield Verdict("bytes of an order in all tables", third, last, last - third, flat)


def _dead_share(table: Table) -> float:
    rows = table.live + table.dead
    return table.dead / rows if rows else 0.0


def bytes_per_order(samples: Sequence[Sample]) -> list[float]:
    """Return how many bytes an order added to all tables, for each quarter of the time."""
    ends = [samples[round(quarter * (len(samples) - 1) / 4)] for quarter in range(5)]
    return [
        (_size(later) - _size(sooner)) / max(later.orders - sooner.orders, 1)
        for sooner, later in pairwise(ends)
    ]


def growth(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the bytes that an order adds to each table, over the whole time."""
    first, last = samples[0], samples[-1]
    orders = max(last.orders - first.orders, 1)
    empty = Table(0, 0, 0, 0)
    return {
        name: (table.size - first.tables.get(name, empty).size) / orders
        for name, table in sorted(last.tables.items())
    }


def _size(sample: Sample) -> int:
    return sum(table.size for table in sample.tables.values())
