"""What a load shows: of the orders that were due in it, and of what ended meanwhile."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from tests.bench.overload.offer import Sent
from tests.bench.overload.outcomes import Outcome
from tests.bench.spread import percentiles

# Before, the orders of a load are in review: nothing of it can end.
_FILL_SECONDS: Final = 5.0
# So long without a refusal is no refusals.
_QUIET_SECONDS: Final = 10.0
# What the recovery from an overload may take.
RECOVERY_SECONDS: Final = 10.0
# For the lines of what varies from second to second.
SMOOTH_SECONDS: Final = 5


class Second(Struct, frozen=True):
    """One second of a load: of the requests due in it, and of the orders that ended in it."""

    offered: int
    accepted: int
    refused: int
    fulfilled: int
    end_p99: float | None
    """Seconds from start to end of the orders that ended in it."""


class LoadFigure(Struct, frozen=True):
    """What was measured of a load."""

    rate: float
    seconds: float
    offered: int
    accepted: int
    """Answered with 202."""
    started: int
    """Workflows: also of orders whose client got no answer, or an error."""
    in_time: int
    """Of the started: ended by the fleet within their 15 s."""
    fulfilled: int
    """In time."""
    timed_out: int
    """Closed by Temporal."""
    refunded: int
    """Charged, then refunded."""
    fulfilled_per_second: float
    refused: dict[str, int]
    refusal_seconds: dict[str, float]
    """Of the refusals that are an answer."""
    retry_after: list[int]
    """The least and the most; empty if none was asked for."""
    accept_seconds: dict[str, float]
    end_seconds: dict[str, float]
    """From the workflow's start, of the orders that ended in time."""
    generator_late: dict[str, float]


def load_figure(
    rate: float, period: tuple[float, float], sent: Collection[Sent], ends: Mapping[str, Outcome]
) -> LoadFigure:
    """Return the figures of the orders due in a period; `sent` and `ends` may have others too."""
    began, until = period
    own = [one for one in sent if began <= one.due < until]
    orders = [ends[one.name] for one in own if one.name in ends]
    refused = [one for one in own if not one.accepted]
    pauses = [one.retry_after for one in refused if one.retry_after is not None]
    fill = began + _FILL_SECONDS
    done = [one for one in _moments(ends.values()) if fill <= one < until]
    return LoadFigure(
        rate=rate,
        seconds=until - began,
        offered=len(own),
        accepted=len(own) - len(refused),
        started=len(orders),
        in_time=sum(one.in_time for one in orders),
        fulfilled=sum(one.fulfilled_in_time for one in orders),
        timed_out=sum(one.timed_out for one in orders),
        refunded=sum(one.refunded for one in orders),
        fulfilled_per_second=len(done) / (until - fill) if until > fill else 0.0,
        refused=dict(Counter(one.reason for one in refused)),
        refusal_seconds=percentiles([one.seconds for one in refused if one.answered]),
        retry_after=[min(pauses), max(pauses)] if pauses else [],
        accept_seconds=percentiles([one.seconds for one in own if one.accepted]),
        end_seconds=percentiles([one.seconds for one in orders if one.in_time]),
        generator_late=percentiles([one.late for one in own]),
    )


def _moments(ends: Iterable[Outcome]) -> list[float]:
    return [one.ended for one in ends if one.fulfilled_in_time and one.ended is not None]


class Recovery(Struct, frozen=True):
    """What was refused after the load fell."""

    seconds: float
    """Until the last refusal before a pause of 10 s without any."""
    offered: int
    """After the 10 s that a recovery may take."""
    refused: int


def recovery(fell: float, sent: Collection[Sent]) -> Recovery:
    """Return how long the refusals went on, and those after the time a recovery may take."""
    refusals = sorted(one.due for one in sent if one.due >= fell and not one.accepted)
    last = fell
    for refusal in refusals:
        if refusal - last > _QUIET_SECONDS:
            break
        last = refusal
    later = [one for one in sent if one.due >= fell + RECOVERY_SECONDS]
    return Recovery(last - fell, len(later), sum(not one.accepted for one in later))


def timeline(sent: Sequence[Sent], ends: Mapping[str, Outcome]) -> list[Second]:
    """Return each second from the first request to the last end."""
    if not sent:
        return []
    began = min(one.due for one in sent)
    own = [ends[one.name] for one in sent if one.name in ends]
    offered, accepted = (
        Counter(int(one.due - began) for one in each)
        for each in (sent, [one for one in sent if one.accepted])
    )
    ended: dict[int, list[Outcome]] = {}
    for one in own:
        if one.ended is not None:
            ended.setdefault(int(one.ended - began), []).append(one)
    return [
        Second(
            offered=offered[second],
            accepted=accepted[second],
            refused=offered[second] - accepted[second],
            fulfilled=sum(one.fulfilled_in_time for one in ended.get(second, ())),
            end_p99=percentiles([one.seconds for one in ended.get(second, ())]).get("p99"),
        )
        for second in range(max([*offered, *ended]) + 1)
    ]


def smooth(values: Sequence[int]) -> list[float]:
    """Return the mean of each value and those around it."""
    half = SMOOTH_SECONDS // 2
    windows = (values[max(0, x - half) : x + half + 1] for x in range(len(values)))
    return [sum(window) / len(window) for window in windows]
