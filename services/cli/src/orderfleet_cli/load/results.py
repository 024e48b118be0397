"""The results of a load."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any, Final

from rich.table import Table

from orderfleet_cli.api_client import Json
from orderfleet_cli.printing import fields

_SHARES: Final = (0.5, 0.95, 0.99)


@dataclass
class Results:
    """Answers and ends, collected as they come."""

    deadline: float
    latencies: list[float] = field(default_factory=list)
    """Seconds from the moment an order was due to its acceptance."""
    refused: Counter[str] = field(default_factory=Counter)
    """How many were refused, by status code and reason."""
    repeats: int = 0
    """How often a refused order was sent again."""
    ends: dict[str, tuple[str, float]] = field(default_factory=dict)
    """State and seconds from row to end, by order."""
    open: set[str] = field(default_factory=set)
    """Accepted, and open as far as seen."""

    def accept(self, order_id: str, latency: float) -> None:
        """Count an order that was accepted."""
        self.latencies.append(latency)
        self.open.add(order_id)

    def refuse(self, reason: str) -> None:
        """Count an order that was refused."""
        self.refused[reason] += 1

    def repeat(self) -> None:
        """Count a refused order that is sent again."""
        self.repeats += 1

    def end(self, order: Json, at: str) -> None:
        """Count the end of an order that was accepted."""
        self.open.remove(order["id"])
        taken = datetime.fromisoformat(at) - datetime.fromisoformat(order["created_at"])
        self.ends[order["id"]] = (order["state"], taken.total_seconds())

    @property
    def answered(self) -> int:
        """How many were accepted or refused."""
        return len(self.latencies) + self.refused.total()

    @property
    def in_time(self) -> int:
        """How many ended before the deadline."""
        return sum(seconds <= self.deadline for _, seconds in self.ends.values())

    @property
    def passed(self) -> bool:
        """Whether every order was accepted and ended in time."""
        return not self.refused and bool(self.latencies) and self.in_time == len(self.latencies)

    def document(self) -> dict[str, Any]:
        """Return the results for programs; times in seconds."""
        return {
            "accepted": len(self.latencies),
            "refused": dict(sorted(self.refused.items())),
            "repeats": self.repeats,
            "ended": dict(Counter(state for state, _ in self.ends.values()).most_common()),
            "not_ended": len(self.open),
            "accept_seconds": _percentiles(self.latencies),
            "end_seconds": _percentiles([seconds for _, seconds in self.ends.values()]),
            "deadline_seconds": self.deadline,
            "share_in_time": round(self.in_time / (len(self.latencies) or 1), 4),
        }

    def table(self) -> Table:
        """Return the results for people."""
        return fields(self._fields())

    def _fields(self) -> Iterator[tuple[str, str]]:
        document = self.document()
        yield "accepted", str(document["accepted"])
        for reason, count in document["refused"].items():
            yield f"refused: {reason}", str(count)
        yield "sent again", str(document["repeats"] or "")
        for state, count in document["ended"].items():
            yield f"ended: {state}", str(count)
        yield "not ended", str(document["not_ended"] or "")
        yield "accepted within p50 / p95 / p99", _milliseconds(document["accept_seconds"])
        yield "ended within p50 / p95 / p99", _seconds(document["end_seconds"])
        yield f"ended within {self.deadline:g} s", f"{document['share_in_time']:.2%}"


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the nearest-rank percentiles; none if there are no values."""
    ranked = sorted(values)
    return {
        f"p{share * 100:g}": round(ranked[ceil(share * len(ranked)) - 1], 4)
        for share in _SHARES
        if ranked
    }


def _milliseconds(percentiles: dict[str, float]) -> str:
    shown = " / ".join(f"{value * 1000:.0f}" for value in percentiles.values())
    return f"{shown} ms" if shown else ""


def _seconds(percentiles: dict[str, float]) -> str:
    shown = " / ".join(f"{value:.2f}" for value in percentiles.values())
    return f"{shown} s" if shown else ""
