"""`python -m tests.soak`: a steady load for an hour; what grows?"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from orderfleet_cli.errors import CommandError, StoppedError
from orderfleet_cli.signals import run_until_signal
from tests.bench.books import UnbalancedError, check_books
from tests.bench.load import Rate, place
from tests.bench.server import run_server
from tests.bench.subjects.orderfleet import Options, run_orderfleet
from tests.bench.table import table
from tests.soak.measure import sampling
from tests.soak.samples import Sample, Verdict, growth, is_long_enough, verdicts

_SAMPLES = 120
_WARM_UP = Rate(4, 10)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    # Half of what two cores do, see docs/sizing.md.
    parser.add_argument("--rate", type=float, default=6.0, help="orders a second: half the peak")
    parser.add_argument("--output", type=Path, default=Path(".data/soak.json"))
    arguments = parser.parse_args()
    # Else a worker compiles its workflow's module for each order, as the sandbox imports it anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    data = Path(tempfile.mkdtemp(prefix="orderfleet-soak-"))
    try:
        samples = run_until_signal(soak(data, arguments.minutes * 60, arguments.rate))
    except (CommandError, StoppedError, UnbalancedError) as error:
        sys.exit(f"soak: {error}")
    finally:
        shutil.rmtree(data, ignore_errors=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_bytes(msgspec.json.format(msgspec.json.encode(samples), indent=1))
    judged = verdicts(samples)
    print("\n".join(report(samples, judged)))
    if not is_long_enough(samples):
        print("not judged: caches still fill in the first half hour")
    elif not all(verdict.flat for verdict in judged):
        sys.exit("soak: something grows")


async def soak(data: Path, seconds: float, rate: float) -> list[Sample]:
    """Place orders at a steady rate, sample the fleet, and check the books at the end."""
    async with run_server(data) as server, run_orderfleet(data, server, Options()) as fleet:
        print(f"{server.kind}, {rate:g} orders a second for {seconds / 60:g} minutes", flush=True)
        await place("warm", _WARM_UP, fleet.place)
        async with sampling(fleet, server, max(seconds / _SAMPLES, 2)) as samples:
            placed = await place("soak", Rate(rate, seconds), fleet.place)
        books = await check_books(fleet.database, fleet.client, "soak", placed.accepted)
        print(f"{len(placed.due)} orders, refused: {dict(placed.refused)}, ends: {books.postgres}")
    return samples


def report(samples: Sequence[Sample], judged: Sequence[Verdict]) -> Iterator[str]:
    """Yield the lines of the report."""
    heads = ("highest", "second and third quarter", "last quarter", "growth an hour", "flat")
    yield table(
        heads,
        [
            (
                verdict.name,
                f"{verdict.before:.2f}",
                f"{verdict.last:.2f}",
                f"{verdict.hourly:+.2f}",
                "yes" if verdict.flat else "NO",
            )
            for verdict in judged
        ],
    )
    yield ""
    bytes_ = growth(samples)
    rows = [
        (name, f"{each:.0f}", f"{samples[-1].tables[name].indexes / 2**20:.1f}")
        for name, each in bytes_.items()
        if each >= 1
    ]
    yield table(("table", "bytes an order, with indexes", "indexes, MiB"), rows)
    yield f"in all {sum(bytes_.values()):.0f} bytes an order"
    last = samples[-1]
    yield f"an order's history: {last.history_events:.0f} events, {last.history_bytes:.0f} bytes"


if __name__ == "__main__":
    main()
