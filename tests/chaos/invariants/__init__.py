"""The invariants of docs/invariants.md: each is a function of one order's records."""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from tests.chaos.invariants import answers, causes, histories, log, money
from tests.chaos.recording import Case, Recording, cases


class Invariant(Struct, frozen=True):
    """A rule that every order keeps, and the function that yields what breaks it."""

    number: int
    name: str
    judge: Callable[[Case], Iterator[str]]


class Violation(Struct, frozen=True):
    """What broke an invariant."""

    number: int
    name: str
    order_id: str
    evidence: str

    @property
    def invariant(self) -> str:
        """The invariant's number and name."""
        return f"{self.number} {self.name}"


INVARIANTS: Final = tuple(
    Invariant(number, name, judge)
    for number, (name, judge) in enumerate(
        (
            ("accepted orders end", log.accepted_ends),
            ("charged at most once", money.charged_at_most_once),
            ("refunded unless fulfilled", money.refunded_unless_fulfilled),
            ("shipped if fulfilled", money.shipped_if_fulfilled),
            ("every 200 is true", answers.successes_are_true),
            ("every refusal is true", answers.refusals_are_true),
            ("every 202 ends", answers.queued_changes_end),
            ("gapless audit log", log.log_is_gapless),
            ("in time", log.in_time),
            ("rows are as histories", histories.rows_match_histories),
            ("histories replay", histories.histories_replay),
            ("streams are true", log.streams_are_true),
            ("answers are documented", answers.answers_are_documented),
            ("nothing happens unasked", causes.nothing_happens_unasked),
        ),
        start=1,
    )
)


def judge(recording: Recording) -> list[Violation]:
    """Return what breaks an invariant, in the sequence of the orders."""
    return [
        Violation(invariant.number, invariant.name, case.order_id, evidence)
        for case in cases(recording)
        for invariant in INVARIANTS
        for evidence in invariant.judge(case)
    ]
