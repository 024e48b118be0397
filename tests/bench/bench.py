"""What all parts of the benchmark work with."""

from dataclasses import dataclass
from pathlib import Path

from tests.bench.results import Results
from tests.bench.server import Server


@dataclass(frozen=True)
class Bench:
    """One run of a plan on one server."""

    data: Path
    server: Server
    results: Results
    run: int

    def prefix(self, name: str) -> str:
        """Return what the ids of the orders of a part begin with, in this run alone.

        A Temporal that outlives the benchmark has the orders of an earlier one.
        """
        began = "".join(one for one in self.results.about["began"] if one.isdigit())
        return f"{''.join(one for one in name if one.isalnum())}{self.run}at{began[4:14]}"
