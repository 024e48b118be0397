"""`python -m tests.chaos.mutate [NAME...]`: does chaos find the seeded bugs?

Each bug has up to 500 orders, in batches that are judged once they have settled; a bug counts as
found if one of its invariants is broken.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from orderfleet_cli.errors import CommandError, StoppedError
from orderfleet_cli.signals import run_until_signal
from tests.chaos.invariants import Violation
from tests.chaos.mutants import MUTANTS, Mutant, make_tree
from tests.chaos.recording import cases
from tests.chaos.run import Options, Outcome, run

_ORDERS = 500
_BATCH = 60
_PATIENCE = 45.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.mutate", description=__doc__)
    names = [mutant.name for mutant in MUTANTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--orders", type=int, default=_ORDERS)
    parser.add_argument("--batch", type=int, default=_BATCH)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=4.0, help="orders a second")
    parser.add_argument("--folder", type=Path, default=Path(".data/chaos/mutants"))
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"no such bug: {', '.join(sorted(unknown))}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    missed = []
    for mutant in MUTANTS:
        if arguments.names and mutant.name not in arguments.names:
            continue
        folder: Path = arguments.folder.resolve() / mutant.name
        shutil.rmtree(folder, ignore_errors=True)
        options = Options(
            orders=arguments.orders,
            seed=arguments.seed,
            folder=folder,
            rate=arguments.rate,
            batch=arguments.batch,
            patience=_PATIENCE,
            until=mutant.found_by,
            env={"PYTHONPATH": make_tree(mutant, folder / "services")},
            say=lambda _: None,
        )
        try:
            outcome = run_until_signal(run(options))
        except CommandError as error:
            print(f"| {mutant.name} | did not run: {error} |", flush=True)
            missed.append(mutant.name)
            continue
        except StoppedError as error:
            sys.exit(f"chaos-mutants: {error}")
        print(line(mutant, outcome), flush=True)
        if not found(mutant, outcome):
            missed.append(mutant.name)
    if missed:
        sys.exit(f"not found: {', '.join(missed)}")


def line(mutant: Mutant, outcome: Outcome) -> str:
    """Return the bug's row of the table in docs/invariants.md."""
    own = [violation for violation in outcome.violations if violation.number in mutant.found_by]
    by = ", ".join(str(number) for number in sorted({violation.number for violation in own}))
    after = f"after {_first(own, outcome)}" if own else f"not in {outcome.placed}"
    return f"| {mutant.name} | {mutant.bug} | {by} | {after} |"


def found(mutant: Mutant, outcome: Outcome) -> bool:
    """Tell whether one of the bug's invariants is broken."""
    return any(violation.number in mutant.found_by for violation in outcome.violations)


def _first(violations: Iterable[Violation], outcome: Outcome) -> int:
    """Return the place of the first order of the violations."""
    broken = {violation.order_id for violation in violations}
    ids = [case.order_id for case in cases(outcome.recording)]
    return next(at for at, order_id in enumerate(ids, start=1) if order_id in broken)


if __name__ == "__main__":
    main()
