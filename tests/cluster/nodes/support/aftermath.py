"""What a fault costs the orders of a flow."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.e2e.support.orders import DEADLINE, ENDS
from tests.support.flow_report import FlowReport


@dataclass(frozen=True)
class Aftermath:
    """Counts of orders; times in seconds after the fault."""

    placed: int
    fulfilled: int
    # By their reasons.
    refused: dict[str, int]
    unanswered: int
    # By their ends.
    unfulfilled: dict[str, int]
    # Ended, but later than their deadline after they were accepted.
    late: int
    longest: float
    # The longest time in which no order was fulfilled.
    silent: float
    # When the last order was sent that was not accepted, fulfilled and in time.
    whole_after: float

    @property
    def line(self) -> dict[str, object]:
        return {
            "placed": self.placed,
            "fulfilled": self.fulfilled,
            "refused": _listed(self.refused),
            "no_answer": self.unanswered,
            "other_ends": _listed(self.unfulfilled),
            "late": self.late,
            "longest": f"{self.longest:.1f} s",
            "fulfilled_nothing_for": f"{self.silent:.1f} s",
            "all_fulfilled_after": f"{self.whole_after:.1f} s",
        }


def aftermath(flow: FlowReport, fault: float) -> Aftermath:
    """Judge the report of a flow that has ended."""
    orders: list[dict[str, Any]] = flow.report["orders"]
    refused, unanswered = flow.report["refusals"], flow.report["unanswered"]
    fulfilled = [order for order in orders if order["state"] == "fulfilled"]
    late = [order for order in orders if order["within"] > DEADLINE]
    ends = Counter(order["state"] if order["state"] in ENDS else "open" for order in orders)
    del ends["fulfilled"]
    bad = [
        *(order["sent"] for order in (*refused, *unanswered, *late)),
        *(order["sent"] for order in orders if order["state"] != "fulfilled"),
    ]
    return Aftermath(
        placed=len(orders) + len(refused) + len(unanswered),
        fulfilled=len(fulfilled),
        refused=dict(Counter(refusal["reason"] for refusal in refused)),
        unanswered=len(unanswered),
        unfulfilled=dict(ends),
        late=len(late),
        longest=max((order["within"] for order in orders), default=0.0),
        silent=_longest_gap([order["sent"] + order["took"] for order in fulfilled], fault),
        whole_after=max(max(bad, default=fault) - fault, 0.0),
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "0"


def _longest_gap(ends: list[float], fault: float) -> float:
    """Return the longest time without an end, after the fault."""
    after = sorted(end for end in ends if end > fault)
    if not after:
        return float("inf")
    return max(later - sooner for sooner, later in pairwise([fault, *after]))
