"""`python -m tests.bench [PLAN]`: run a benchmark, show and write what it found."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import uvloop

from orderfleet_cli.errors import CommandError, StoppedError
from orderfleet_cli.signals import run_until_signal
from tests.bench.books import UnbalancedError
from tests.bench.overload.fleet import PART as OVERLOAD
from tests.bench.overload.loads import STEP
from tests.bench.overload.picture import draw as draw_step
from tests.bench.picture import draw
from tests.bench.plans import PLANS, run_plan
from tests.bench.rates import PART
from tests.bench.report import report
from tests.bench.results import Results

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("plan", choices=PLANS, nargs="?", default="short")
    parser.add_argument("--runs", type=int, help="instead of the plan's own number")
    parser.add_argument("--only", nargs="+", metavar="PART", help="some of the plan's parts")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of JSON and pictures")
    arguments = parser.parse_args()
    plan = PLANS[arguments.plan].limited(arguments.runs, arguments.only)
    if not plan.names:
        parser.error(f"no such part: there are {'; '.join(PLANS[arguments.plan].names)}")
    # Else a worker compiles its workflow's module for each order, as the sandbox imports it anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    data = Path(tempfile.mkdtemp(prefix="orderfleet-bench-"))
    results = Results(arguments.plan, arguments.output)
    try:
        # Its loop, as what the client takes of the two cores is missing to the faster server more.
        run_until_signal(run_plan(plan, data, results), uvloop.new_event_loop)
    except (CommandError, StoppedError, UnbalancedError) as error:
        # What was measured before is shown, and written nowhere but in the JSON.
        print(f"\n{report(results.document)}")
        sys.exit(f"bench: {error}")
    finally:
        shutil.rmtree(data, ignore_errors=True)
    text = report(results.document)
    print(f"\n{text}")
    results.path.with_suffix(".md").write_text(text)
    title, picture = f"Benchmark: {arguments.plan}", results.path.with_suffix(".png")
    if rates := results.figures.get(PART):
        draw(rates, f"{title}, runs: {plan.runs}", picture)
    if steps := results.figures.get(OVERLOAD, {}).get(STEP):
        draw_step(steps[-1], f"{title}: 3 P, then 0.7 P", picture)


if __name__ == "__main__":
    main()
