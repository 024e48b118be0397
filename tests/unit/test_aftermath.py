"""How the tests with two nodes judge a flow's report."""

from typing import Any

import pytest

from tests.cluster.nodes.support.aftermath import aftermath
from tests.support.flow_report import FlowReport

_FAULT = 100.0


def an_order(sent: float, state: str = "fulfilled", took: float = 2.0) -> dict[str, Any]:
    return {"sent": sent, "state": state, "took": took, "within": took}


def test_an_aftermath() -> None:
    report = {
        "orders": [
            an_order(95),
            an_order(99, "timed_out", 15.0),
            an_order(101, took=16.0),
            an_order(112),
            an_order(113),
            an_order(110, "charging", -1.0),
        ],
        "refusals": [{"sent": at, "reason": "busy"} for at in (103.0, 104.0)],
        "unanswered": [{"sent": 105.0}],
    }
    seen = aftermath(FlowReport(report=report), _FAULT)
    assert (seen.placed, seen.fulfilled, seen.unanswered) == (9, 4, 1)
    assert seen.refused == {"busy": 2}
    assert seen.unfulfilled == {"timed_out": 1, "open": 1}
    assert (seen.late, seen.longest) == (1, 16.0)
    # Nothing ended from the fault until the order of 112 did.
    assert seen.silent == pytest.approx(14.0)
    assert seen.whole_after == pytest.approx(10.0)


def test_no_order_hurt() -> None:
    report = {"orders": [an_order(101), an_order(102)], "refusals": [], "unanswered": []}
    assert aftermath(FlowReport(report=report), _FAULT).whole_after == 0.0
