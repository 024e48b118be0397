"""Timeouts, retry policies and the deadline budget, each with its reason."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from temporalio.common import RetryPolicy

# --- The order -----------------------------------------------------------------------------

# Forward work ends at 12 s of 15 s. The 3 s left hold one workflow task lost to a killed worker
# (TASK_TIMEOUT) and the orderly end: the end state and the start of the refund.
FORWARD_SHARE: Final = 0.8

# A worker killed while it holds a workflow task costs the task's length: 13.0 s for 3 s of work
# at the server's default of 10 s, 6.3 s at 2 s.
TASK_TIMEOUT: Final = timedelta(seconds=2)

# The last moment of an order at which its own workflow still tries to write the end state; the
# rest goes to the completion itself. What is not written by then is left to ReconcileOrders.
CLOSING_MARGIN: Final = timedelta(milliseconds=500)

# --- Steps -----------------------------------------------------------------------------------

# Back-off under 1 s is rounded up to about 1 s by a server with default settings; the chart's
# own server keeps it. Three attempts: a fourth would not fit into 12 s if each one hangs.
STEP_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=2),
    maximum_attempts=3,
)


def step_backoff(attempt: int) -> timedelta:
    """Return how long to wait after this failed attempt of a step, as the server works it out."""
    most = STEP_RETRY.maximum_interval or timedelta.max
    return min(STEP_RETRY.initial_interval * STEP_RETRY.backoff_coefficient ** (attempt - 1), most)


def retry_pause(attempt: int, left: timedelta) -> timedelta:
    """Return how long a queue waits after this failed attempt of a step with so much time left.

    An eighth of it after the first one, half of it after the second, which leaves the other half to
    the last: what is away for 4 s costs no order that has 8 s left, and one error in passing costs
    a second. No less than the server's own back-off.
    """
    share = _FIRST_SHARE if attempt == 1 else _LATER_SHARE
    return max(step_backoff(attempt), min(left, _LONGEST_LEFT) * share)


_FIRST_SHARE: Final = 1 / 8
_LATER_SHARE: Final = 1 / 2
# The forward time of an order of 15 s. One that has more does not wait longer.
_LONGEST_LEFT: Final = timedelta(seconds=12)

# Within an attempt, what is away or too busy is asked again, for half of the attempt's time and no
# longer than this: an attempt that waits holds a slot, and if it is a local one, its workflow. At
# 1.5 s, half of a statement's 3 s, its workflow task need not beat yet, as it would at 1.6 s.
PATIENCE: Final = timedelta(seconds=2)
PATIENCE_SHARE: Final = 0.5
PATIENCE_FIRST_PAUSE: Final = timedelta(milliseconds=100)
PATIENCE_LONGEST_PAUSE: Final = timedelta(milliseconds=500)

# Kept of an attempt's time, and of a step's, so that its last words get through.
LAST_WORDS: Final = timedelta(milliseconds=200)
# Left to the attempt after a pause that a gateway asked for.
ONE_ATTEMPT: Final = timedelta(seconds=1)
# How long a gateway may ask for where there is no end: it is undone all the same.
LONGEST_RETRY_AFTER: Final = timedelta(seconds=60)

# Temporal refuses a timeout of nothing; a step that starts so late fails by it at once.
SHORTEST_STEP: Final = timedelta(milliseconds=100)

# SQL only: 3 s is the shortest that the design allows, some 500 times what a statement takes.
SQL_STEP: Final = timedelta(seconds=3)

# A step with a gateway in it. Its calls are bounded by less than that (below), so the activity
# learns of a slow gateway before Temporal gives the attempt up.
GATEWAY_STEP: Final = timedelta(seconds=4)
GATEWAY_CALL_SECONDS: Final = 2.5
GATEWAY_LOOKUP_SECONDS: Final = 1.0

# Every activity on a queue has it: the attempt of a worker that dies is given up so long after its
# last beat, not at the end of its time (3 to 5 s; 10 s for reconciliation). With three beats to a
# timeout an event loop may stand still for 1 s, or a beat be lost, before a living attempt is given
# up.
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=1.5)
HEARTBEAT_INTERVAL: Final = timedelta(seconds=0.5)

# Shipping is started again on failure, 3 times in all.
SHIPPING_ATTEMPTS: Final = 3
SHIPPING_BACKOFF: Final = timedelta(seconds=1)

# An event that changes nothing has this long at least, or half of the order's time: with Postgres
# away, the rest is for the order's end.
NOTE_LIMIT: Final = timedelta(seconds=1)

# Changes of one order that are tried, whatever becomes of them; 1,100 made its workflow tasks time
# out. Cancels have as many again, as a cancel must still be possible.
MOST_CHANGES: Final = 100
# Errors that a status tells, the last ones.
MOST_ERRORS: Final = 100

# --- Undoing ---------------------------------------------------------------------------------

# No deadline and no last attempt: money that was taken for nothing goes back.
UNDO_STEP: Final = timedelta(seconds=5)
UNDO_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=10),
)

# --- Backstop --------------------------------------------------------------------------------

# One order of a run, a phase, the activity with all phases, and the run: each within the next.
# While a run lasts no other one starts, so one that meets an outage gives up at about the time at
# which the schedule wants the next, 10 s later.
RECONCILE_ORDER: Final = timedelta(seconds=4)
RECONCILE_PHASE: Final = timedelta(seconds=8)
RECONCILE_STEP: Final = timedelta(seconds=10)
RECONCILE_RUN: Final = timedelta(seconds=15)
# For an attempt on a worker that dies, or on a worker of an older release, which has no such
# activity. What fails for an order does not fail the activity: the next run retries it.
RECONCILE_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_attempts=5
)
# Orders that a phase is at at once. Most of their time they wait for Temporal.
RECONCILE_AT_ONCE: Final = 20
# How far back a first run looks for closed workflows without a row; an hour is for an outage of all
# order workers. A later one goes on where the last good run began, less what a standby of Postgres
# may lag when it takes over.
RECONCILE_WINDOW: Final = timedelta(hours=1)
RECONCILE_OVERLAP: Final = timedelta(minutes=5)


class Budget(Struct, frozen=True):
    """The time an order has, counted from its workflow's start."""

    start: datetime
    total: timedelta

    @property
    def end(self) -> datetime:
        """The moment by which the order has ended."""
        return self.start + self.total

    @property
    def forward_end(self) -> datetime:
        """The moment at which forward work stops."""
        return self.start + self.total * FORWARD_SHARE

    def left(self, now: datetime) -> timedelta:
        """Return what is left until the end, never negative."""
        return max(self.end - now, timedelta(0))

    def forward_left(self, now: datetime) -> timedelta:
        """Return what is left for forward work, never negative."""
        return max(self.forward_end - now, timedelta(0))

    def note_left(self, now: datetime) -> timedelta:
        """Return how long an event that changes nothing may be tried."""
        return max(NOTE_LIMIT, self.left(now) / 2)

    def closing_left(self, now: datetime) -> timedelta:
        """Return what is left for writing the end state.

        All but the margin; inside it, or if the order has so little time in all, half of what is
        left, so that the completion has the other half.
        """
        left = self.left(now)
        return max(left - CLOSING_MARGIN, left / 2, SHORTEST_STEP)
