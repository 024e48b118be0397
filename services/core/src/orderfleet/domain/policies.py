"""Timeouts, retry policies and the deadline budget, each with its reason."""

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityConfig

from orderfleet.domain import priorities

# --- The order -----------------------------------------------------------------------------

# Forward work ends at 12 s of 15 s. The 3 s left hold one workflow task lost to a killed worker
# (TASK_TIMEOUT) and the orderly end: the end state and the start of the refund.
FORWARD_SHARE: Final = 0.8

# A worker killed while it holds a workflow task costs the task's length: 13.0 s for 3 s of work
# at the server's default of 10 s, 6.3 s at 2 s.
TASK_TIMEOUT: Final = timedelta(seconds=2)

# The workflow stops trying to write the end state so long before the order's end: the completion
# itself takes the rest. ReconcileOrders writes an end that is missing then.
CLOSING_MARGIN: Final = timedelta(milliseconds=500)

# --- Steps -----------------------------------------------------------------------------------

# A server with default settings rounds a back-off under 1 s up to about 1 s; the chart's own server
# keeps it. Three attempts: a fourth would not fit into 12 s if each hangs.
STEP_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=2),
    maximum_attempts=3,
)


# After the attempts of a step, all of them on workers that lack the key of its payload.
KEY_PAUSE: Final = timedelta(milliseconds=500)


def step_backoff(attempt: int) -> timedelta:
    """Return the back-off after this failed attempt of a step, computed as the server does."""
    most = STEP_RETRY.maximum_interval or timedelta.max
    return min(STEP_RETRY.initial_interval * STEP_RETRY.backoff_coefficient ** (attempt - 1), most)


def retry_pause(attempt: int, left: timedelta, wanted: timedelta = timedelta(0)) -> timedelta:
    """Return how long the server waits after a failed attempt of a step on a queue.

    An eighth of the time left after the first attempt, half of it after the second, which leaves
    the other half to the last: an outage of 4 s costs no order that has 8 s left, and a single
    error costs a second. No less than the server's own back-off.

    Args:
        attempt: the one that failed, from 1 on.
        left: the time that the step has left.
        wanted: the pause that a gateway asks for; it is cut so that ONE_ATTEMPT is left after it.
    """
    share = _FIRST_SHARE if attempt == 1 else _LATER_SHARE
    usual = max(step_backoff(attempt), min(left, _LONGEST_LEFT) * share)
    return max(usual, min(wanted, left - ONE_ATTEMPT))


_FIRST_SHARE: Final = 1 / 8
_LATER_SHARE: Final = 1 / 2
# The forward time of an order of 15 s. An order that has more does not wait longer.
_LONGEST_LEFT: Final = timedelta(seconds=12)

# An attempt retries transient errors for half of its time, and no longer than this: while it waits
# it holds a slot, and a local one holds its workflow task. 1.5 s, half of a statement's 3 s, are
# over before that task has to heartbeat, at 1.6 s.
TRANSIENT_RETRY_TIME: Final = timedelta(seconds=2)
TRANSIENT_RETRY_SHARE: Final = 0.5
TRANSIENT_FIRST_PAUSE: Final = timedelta(milliseconds=100)
TRANSIENT_LONGEST_PAUSE: Final = timedelta(milliseconds=500)

# Kept of an attempt's time, so that its error is reported before Temporal gives it up.
ATTEMPT_MARGIN: Final = timedelta(milliseconds=200)
# Left to the attempt after a pause that a gateway asks for.
ONE_ATTEMPT: Final = timedelta(seconds=1)
# The longest pause that a gateway gets of a step without a deadline.
LONGEST_RETRY_AFTER: Final = timedelta(seconds=60)

# Temporal refuses a timeout of 0; a step that starts so late times out at once.
SHORTEST_STEP: Final = timedelta(milliseconds=100)

# Statements only. 3 s is the shortest timeout that the design allows; a statement takes a
# five-hundredth of it.
SQL_STEP: Final = timedelta(seconds=3)

# A step that calls a gateway. The calls have shorter timeouts (below): the activity notices a slow
# gateway before Temporal times the attempt out.
GATEWAY_STEP: Final = timedelta(seconds=4)
GATEWAY_CALL_SECONDS: Final = 2.5
GATEWAY_LOOKUP_SECONDS: Final = 1.0

# Of every activity on a queue: the server times out the attempt of a dead worker so long after its
# last heartbeat, not at the end of its time (3 to 5 s; 10 s for reconciliation). With three
# heartbeats per timeout, an event loop may block for 1 s, or a heartbeat get lost, without the loss
# of a running attempt.
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=1.5)
HEARTBEAT_INTERVAL: Final = timedelta(seconds=0.5)

# The order's workflow starts shipping up to 3 times.
SHIPPING_ATTEMPTS: Final = 3
SHIPPING_BACKOFF: Final = timedelta(seconds=1)

# The time for an event that changes nothing: half of what the order has left, and at least this.
# With Postgres unavailable, the order's end has the rest.
NOTE_LIMIT: Final = timedelta(seconds=1)

# Changes tried per order, applied or not; 1,100 made its workflow tasks time out. Cancels have as
# many again: cancelling must stay possible.
MOST_CHANGES: Final = 100
# Errors in a status: the last ones.
MOST_ERRORS: Final = 100

# --- Undoing ---------------------------------------------------------------------------------

# No deadline and no last attempt: an order that is not fulfilled gets its money back.
UNDO_STEP: Final = timedelta(seconds=5)
UNDO: Final = ActivityConfig(
    start_to_close_timeout=UNDO_STEP,
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        backoff_coefficient=2,
        maximum_interval=timedelta(seconds=10),
    ),
    priority=priorities.UNDO,
)

# --- Forgetting ------------------------------------------------------------------------------

# The workflows of an order close within seconds of its end. Eight attempts, 22 s, are enough for
# them, and few enough for a person to see why an order is not forgotten.
FORGET_ROWS: Final = ActivityConfig(
    summary="redacts the rows in Postgres",
    start_to_close_timeout=UNDO_STEP,
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        backoff_coefficient=2,
        maximum_interval=timedelta(seconds=10),
        maximum_attempts=8,
    ),
    priority=priorities.FORGET,
)
# No last attempt: the rows are redacted, and nobody else deletes the histories. The server deletes
# asynchronously, and a workflow that closed just now only after it has persisted that the closing
# is processed: 30 s later by default (history.transferProcessorUpdateAckInterval).
FORGET_HISTORIES: Final = ActivityConfig(
    summary="deletes the histories in Temporal",
    start_to_close_timeout=timedelta(seconds=90),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1),
        backoff_coefficient=2,
        maximum_interval=timedelta(minutes=1),
    ),
    priority=priorities.FORGET,
)
# Orders that a run of ReconcileOrders has forgotten by their age, 10 a second: behind everything
# else, and more than most fleets take. At random of the oldest, so that those that cannot be
# forgotten block no others.
FORGET_AT_ONCE: Final = 100
FORGET_OLDEST: Final = 1000
FORGET_WAIT: Final = timedelta(seconds=75)

# --- Backstop --------------------------------------------------------------------------------

# One order of a run, a phase, the activity with all phases, and the run: each within the next.
# No run starts while another lasts, so a run in an outage gives up at about the time of the
# schedule's next run, 10 s later.
RECONCILE_ORDER: Final = timedelta(seconds=4)
RECONCILE_PHASE: Final = timedelta(seconds=8)
RECONCILE_STEP: Final = timedelta(seconds=10)
RECONCILE_RUN: Final = timedelta(seconds=15)
# For an attempt on a worker that dies, or on a worker of an older release, which lacks the
# activity. An order that fails does not fail the activity: the next run retries the order.
RECONCILE_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_attempts=5
)
# Orders that a phase processes concurrently; they mostly wait for Temporal.
RECONCILE_AT_ONCE: Final = 20
# How far back a first run searches for closed workflows without a row: an hour covers an outage of
# all order workers. A later run starts where the last complete run began, minus the lag that a
# standby of Postgres may have at a failover.
RECONCILE_WINDOW: Final = timedelta(hours=1)
RECONCILE_OVERLAP: Final = timedelta(minutes=5)
