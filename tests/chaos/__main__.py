"""`python -m tests.chaos`: a fleet under every call and every disturbance, judged at the end."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from random import SystemRandom

import msgspec

from orderfleet_cli.errors import CommandError, StoppedError
from orderfleet_cli.signals import run_until_signal
from tests.chaos.invariants import judge
from tests.chaos.recording import Recording
from tests.chaos.report import report
from tests.chaos.run import Options, Outcome, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--seed", type=int, help="of another run, to repeat it")
    parser.add_argument("--rate", type=float, default=2.0, help="orders a second")
    parser.add_argument("--folder", type=Path, default=Path(".data/chaos"))
    parser.add_argument("--judge", type=Path, metavar="RECORDING", help="judge a kept recording")
    arguments = parser.parse_args()
    if arguments.judge is not None:
        recording = msgspec.json.decode(arguments.judge.read_bytes(), type=Recording)
        finish(Outcome(recording, judge(recording), len(recording.rows)))
        return
    seed = SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    folder: Path = arguments.folder.resolve() / str(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"seed {seed}, in {folder}", flush=True)
    # Else a worker compiles its workflow's module for each order, as the sandbox imports it anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    options = Options(
        orders=arguments.orders, seed=seed, folder=folder, rate=arguments.rate, say=say
    )
    try:
        outcome = run_until_signal(run(options))
    except (CommandError, StoppedError) as error:
        sys.exit(f"chaos: {error}")
    (folder / "report.txt").write_text(report(outcome) + "\n")
    finish(outcome)


def say(text: str) -> None:
    """Show how far the run is."""
    print(text, flush=True)


def finish(outcome: Outcome) -> None:
    """Show the report; exit with status 1 if an invariant is broken."""
    print(report(outcome))
    sys.exit(1 if outcome.violations else 0)


if __name__ == "__main__":
    main()
