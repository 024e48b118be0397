"""The seeded bugs are edits of today's source, and each has an invariant that has to find it."""

from pathlib import Path

import pytest

from tests.chaos.invariants import INVARIANTS, Violation
from tests.chaos.mutants import MUTANTS, Mutant, make_tree
from tests.chaos.mutate import found, line
from tests.chaos.run import Outcome
from tests.unit.chaos.recordings import CANCELLED, FULFILLED, good


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bug_is_an_edit_of_todays_source(mutant: Mutant) -> None:
    text = mutant.mutated()
    assert text != mutant.path().read_text()
    compile(text, mutant.file, "exec")


def test_there_are_twenty_and_every_invariant_has_one() -> None:
    assert len(MUTANTS) >= 20
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    found_by = set().union(*(mutant.found_by for mutant in MUTANTS))
    assert found_by == {invariant.number for invariant in INVARIANTS}


def test_a_tree_has_the_bug_and_leaves_the_source_alone(tmp_path: Path) -> None:
    mutant = MUTANTS[0]
    before = mutant.path().read_text()
    paths = make_tree(mutant, tmp_path)
    assert mutant.path(tmp_path).read_text() == mutant.mutated()
    assert mutant.path().read_text() == before
    assert all(Path(path).is_dir() for path in paths.split(":"))


def test_a_bug_is_found_by_its_own_invariants_only() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "refund-in-words")
    own = Violation(3, "refunded unless fulfilled", CANCELLED, "its money is not back")
    other = Violation(9, "in time", FULFILLED, "ended after 16 s")
    assert found(mutant, Outcome(good(), [own, other], 60))
    assert not found(mutant, Outcome(good(), [other], 60))
    # The second order of the recording is the first that broke it.
    assert line(mutant, Outcome(good(), [own, other], 60)).endswith("| 3 | after 2 |")
    assert line(mutant, Outcome(good(), [other], 60)).endswith("|  | not in 60 |")
