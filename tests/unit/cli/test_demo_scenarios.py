from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from orderfleet.domain.orders import Address, Order, OrderState
from orderfleet_cli.demo.actions import NEW_ADDRESS, approve
from orderfleet_cli.demo.scenario import ADDRESS, Scenario, seconds_taken
from orderfleet_cli.demo.scenario_list import SCENARIOS, SHOWN

_BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


def _record(end: str, *events: str, seconds: float = 3, **changes: Any) -> dict[str, Any]:
    ended = _BEGAN + timedelta(seconds=seconds)
    trail = [{"type": kind, "ts": ended.isoformat(), "payload": {}} for kind in (*events, end)]
    return {
        "state": end,
        "created_at": _BEGAN.isoformat(),
        "address": ADDRESS,
        "events": trail,
        **changes,
    }


def _scenario(**changes: Any) -> Scenario:
    return Scenario(**{"order_id": "one", "title": "", "ends": ("fulfilled",), **changes})


def test_an_order_as_expected_has_no_problems() -> None:
    scenario = _scenario(events={"charged": 1, "refunded": 0})
    assert scenario.problems(_record("fulfilled", "charged")) == []


@pytest.mark.parametrize(
    ("scenario", "record", "problem"),
    [
        (_scenario(), _record("failed"), "ended failed, not fulfilled"),
        (_scenario(), _record("fulfilled", seconds=15.5), "took 15.5 s, more than 15"),
        (
            _scenario(events={"dispatch_failed": 2}),
            _record("fulfilled", "dispatch_failed"),
            "1 times dispatch_failed, not 2",
        ),
        (
            _scenario(address=NEW_ADDRESS),
            _record("fulfilled"),
            "goes to Springfield, not Shelbyville",
        ),
        (
            _scenario(act=approve),
            _record("fulfilled", "reviewed"),
            "reviewed by nobody, not demo",
        ),
    ],
)
def test_what_is_not_as_expected_is_a_problem(
    scenario: Scenario, record: dict[str, Any], problem: str
) -> None:
    assert scenario.problems(record) == [problem]


def test_an_order_without_an_end_took_no_time() -> None:
    assert seconds_taken(_record("charging")) is None


def test_the_orders_of_the_demo_are_well_formed() -> None:
    ids = [scenario.order_id for scenario in SCENARIOS]
    assert len(set(ids)) == len(ids)
    assert SHOWN in ids
    for scenario in SCENARIOS:
        body = {"payment_id": scenario.payment_id, "address": ADDRESS, "items": scenario.items}
        assert msgspec.convert(body, Order).address == msgspec.convert(ADDRESS, Address)
        for fault in scenario.faults:
            assert fault.orders == scenario.order_id
        for end in scenario.ends:
            assert end == "409" or OrderState(end).ended
