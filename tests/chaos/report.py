"""What a run says at its end."""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.invariants import INVARIANTS
from tests.chaos.invariants.log import is_judged_by_time
from tests.chaos.recording import CHANGES, PLACE, Recording, cases
from tests.chaos.run import Outcome

_MOST = 50


def report(outcome: Outcome) -> str:
    """Return the summary of a run, and its violations."""
    return "\n".join([*_summary(outcome.recording), *_violations(outcome)])


def _summary(recording: Recording) -> Iterator[str]:
    orders = cases(recording)
    accepted = [case for case in orders if case.accepted]
    ends = Counter(case.state or "no row" for case in orders if case.row is not None)
    yield f"seed {recording.seed}: {len(orders)} orders, {len(accepted)} accepted"
    yield f"ends: {_counted(ends)}"
    judged = sum(is_judged_by_time(case) for case in accepted)
    yield f"in time: {judged} orders judged, servers were away from the others"
    statuses = Counter(
        f"{call.operation if call.operation in {PLACE, *CHANGES} else 'read'}"
        f" {call.status or 'unanswered'}"
        for call in recording.calls
    )
    yield f"calls: {_counted(statuses)}"
    disturbed = Counter(f"{absence.how} {absence.what}" for absence in recording.absences)
    yield f"disturbances: {_counted(disturbed)}"


def _violations(outcome: Outcome) -> Iterator[str]:
    counts = Counter(violation.invariant for violation in outcome.violations)
    if not counts:
        yield f"all {len(INVARIANTS)} invariants hold"
        return
    yield f"VIOLATIONS: {_counted(counts)}"
    for violation in outcome.violations[:_MOST]:
        yield f"  {violation.order_id}: {violation.invariant}: {violation.evidence}"
    if (more := len(outcome.violations) - _MOST) > 0:
        yield f"  and {more} more"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
