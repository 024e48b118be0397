"""Orders a second, CPU and latency: each subject's workers, one after the other."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from msgspec.structs import replace

from orderfleet.temporal.payload_keys import make_key
from orderfleet_cli.private_files import write_private
from tests.bench.bench import Bench
from tests.bench.books import UnbalancedError, check_books
from tests.bench.load import Placed
from tests.bench.subjects.floor import Floor, run_floor
from tests.bench.subjects.orderfleet import Options, Orderfleet, run_orderfleet
from tests.bench.subjects.peers import run_common_way, run_dbos
from tests.bench.subjects.subject import Subject
from tests.bench.temporal import work_of
from tests.bench.trial import Phase, Trial, attempt

Start: TypeAlias = Callable[[Bench], AbstractAsyncContextManager[Subject]]
StartFleet: TypeAlias = Callable[[Bench], AbstractAsyncContextManager[Orderfleet]]

_WARM_UP: Final = Phase(plateau=4, plateau_seconds=3)
_CALM: Final = Phase(plateau=5, plateau_seconds=8)
_SAMPLE: Final = 3
PART: Final = "rates"
WORK: Final = "work"
BOOKS: Final = "books"


@dataclass(frozen=True)
class Rates:
    """A subject, and the rates at which orders are placed with it."""

    name: str
    start: Start
    phase: Phase

    async def __call__(self, bench: Bench) -> None:
        async with self.start(bench) as subject:
            trial = await measure(bench, subject, self.name, self.phase)
        bench.results.add(PART, self.name, trial)


async def measure(bench: Bench, subject: Subject, name: str, phase: Phase) -> Trial:
    """Warm the subject up, measure it, and check what became of its orders.

    What an order costs and how long it takes is told of a calm load: of a rise, an order that ends
    late or halfway would be in it, and every subject has another number of those.
    """
    prefix = bench.prefix(name)
    trees = bench.server.trees
    await attempt(subject, f"{prefix}w", _WARM_UP, trees)
    if not phase.rise:
        trial, placed, ends = await attempt(subject, prefix, phase, trees)
    else:
        calm, placed, ends = await attempt(subject, prefix, _CALM, trees)
        risen, more, _ = await attempt(subject, f"{prefix}r", phase, trees)
        trial = replace(
            risen,
            cpu_seconds=calm.cpu_seconds,
            accept_seconds=calm.accept_seconds,
            end_seconds=calm.end_seconds,
        )
        await _check(bench, subject, name, f"{prefix}r", more)
    await _check(bench, subject, name, prefix, placed)
    if not any(end.fulfilled for end in ends.values()):
        raise UnbalancedError(f"{name}: no order was fulfilled; refused: {dict(placed.refused)}")
    if isinstance(subject, Orderfleet | Floor) and bench.run == 0:
        fulfilled = sorted(one for one, end in ends.items() if end.fulfilled)
        bench.results.add(WORK, name, await work_of(subject.client, fulfilled[:_SAMPLE]))
    return trial


async def _check(bench: Bench, subject: Subject, name: str, prefix: str, placed: Placed) -> None:
    if isinstance(subject, Orderfleet):
        books = await check_books(subject.database, subject.client, prefix, placed.accepted)
        bench.results.add(BOOKS, name, books)


def orderfleet(
    review: float,
    *,
    workers: int = 1,
    sandbox: bool = True,
    versions: bool = False,
    encrypted: bool = False,
    apart: str = "",
) -> StartFleet:
    """Return how to start our services; `apart` is for a second fleet on the same server."""
    env = {
        # No subject refuses orders: the rise shows where they begin to end late.
        "ORDERFLEET_ADMISSION": "off",
        "ORDERFLEET_SANDBOX": str(sandbox).lower(),
        "ORDERFLEET_VERSIONING": "on" if versions else "off",
    }

    def start(bench: Bench) -> AbstractAsyncContextManager[Orderfleet]:
        keys = {"ORDERFLEET_PAYLOAD_KEYS_FILE": _payload_keys(bench.data) if encrypted else ""}
        own = {"database": apart, "namespace": apart} if apart else {}
        options = Options(review=review, workers=workers, env=env | keys, **own)
        return run_orderfleet(bench.data, bench.server, options)

    return start


def _payload_keys(data: Path) -> str:
    path = data / "payload-keys"
    write_private(path, f"{make_key()}\n")
    return str(path)


def floor(review: float, shape: str = "own") -> Start:
    return lambda bench: run_floor(bench.data, bench.server, shape=shape, review=review)


def common_way(review: float) -> Start:
    return lambda bench: run_common_way(bench.data, bench.server, review=review)


def dbos(review: float) -> Start:
    return lambda bench: run_dbos(bench.data, bench.server, review=review)
