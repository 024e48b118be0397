"""The samples of a soak, and what they say: is it flat?"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

MIB: Final = 2**20
# A soak of less says nothing of an hour: caches still fill.
_SHORTEST_SECONDS: Final = 1800.0
_HOUR: Final = 3600.0
# Growth in an hour that counts as flat: a share, and at least so much.
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
    """Whether one value is flat after the first quarter of the time."""

    name: str
    before: float
    """The highest of the second and the third quarter."""
    last: float
    """The highest of the last quarter."""
    hourly: float
    """Growth in an hour: from `before` to `last` in a quarter."""
    flat: bool


def _quarter(samples: Sequence[Sample], number: int) -> float:
    first, last = samples[0].at, samples[-1].at
    return first + number * (last - first) / 4


def is_long_enough(samples: Sequence[Sample]) -> bool:
    """Tell whether the soak was long enough to be judged."""
    return samples[-1].at - samples[0].at >= _SHORTEST_SECONDS


def verdicts(samples: Sequence[Sample]) -> list[Verdict]:
    """Judge memory, descriptors, histories and tables after the first quarter."""
    return [*_processes(samples), *_histories(samples), *_tables(samples)]


def _processes(samples: Sequence[Sample]) -> Iterator[Verdict]:
    for name in samples[-1].processes:
        held = [sample.processes[name] for sample in samples]
        memory = [process.memory / MIB for process in held]
        yield _flat(f"memory of {name}, MiB", samples, memory, _LEAST_MEMORY / MIB)
        descriptors = [float(process.descriptors) for process in held]
        yield _flat(f"descriptors of {name}", samples, descriptors, _LEAST_DESCRIPTORS)


def _histories(samples: Sequence[Sample]) -> Iterator[Verdict]:
    events = [sample.history_events for sample in samples]
    yield _flat("events of an order's history", samples, events, _LEAST_EVENTS)


def _flat(name: str, samples: Sequence[Sample], values: Sequence[float], least: float) -> Verdict:
    """Compare highs.

    Memory falls and rises between garbage collections, and as other programs of the machine come
    and go that share pages: a line through all points rises and falls with it.
    """
    sooner, late = _quarter(samples, 1), _quarter(samples, 3)
    of_all = list(zip((sample.at for sample in samples), values, strict=True))
    before = max(value for at, value in of_all if sooner <= at < late)
    last = max(value for at, value in of_all if at >= late)
    hourly = (last - before) * _HOUR / (samples[-1].at - late)
    return Verdict(name, before, last, hourly, hourly <= max(before * _SHARE, least))


def _tables(samples: Sequence[Sample]) -> Iterator[Verdict]:
    """Judge dead rows, and whether an order takes ever more bytes."""
    for name in sorted(samples[-1].tables):
        table = samples[-1].tables[name]
        if table.live + table.dead > _FEW_ROWS:
            share = [
                _dead_share(sample.tables[name]) if name in sample.tables else 0.0
                for sample in samples
            ]
            seen = _flat(f"dead rows of {name}, share", samples, share, 0)
            yield replace(seen, flat=max(seen.before, seen.last) <= _MOST_DEAD)
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
