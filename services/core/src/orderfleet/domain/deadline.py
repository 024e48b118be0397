"""The deadline of an order: its time from the workflow's start, and the parts of that time."""

from datetime import datetime, timedelta

from msgspec import Struct

from orderfleet.domain import policies


class Budget(Struct, frozen=True):
    """The time an order has, counted from its workflow's start."""

    start: datetime
    total: timedelta

    @property
    def end(self) -> datetime:
        """The time by which the order has ended."""
        return self.start + self.total

    @property
    def forward_end(self) -> datetime:
        """The time at which forward work stops."""
        return self.start + self.total * policies.FORWARD_SHARE

    def left(self, now: datetime) -> timedelta:
        """Return the time left until the end, never negative."""
        return max(self.end - now, timedelta(0))

    def forward_left(self, now: datetime) -> timedelta:
        """Return the time left for forward work, never negative."""
        return max(self.forward_end - now, timedelta(0))

    def note_left(self, now: datetime) -> timedelta:
        """Return how long an event that changes nothing may be tried."""
        return max(policies.NOTE_LIMIT, self.left(now) / 2)

    def closing_left(self, now: datetime) -> timedelta:
        """Return the time left for writing the end state.

        All but the margin; within the margin half of the time left, so that the completion has the
        other half.
        """
        left = self.left(now)
        return max(left - policies.CLOSING_MARGIN, left / 2, policies.SHORTEST_STEP)
