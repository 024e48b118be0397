"""Whatever overlaps, hangs, is lost or is refused: money balances and every answer is true."""

import itertools
from typing import Final

import msgspec
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from orderfleet.domain.orders import Address, OrderState
from orderfleet.gateways.simulated import Fault
from orderfleet.store.pool import Pool
from orderfleet.store.simulated_ledger import balance
from tests.integration.support.books import Books, books
from tests.integration.support.conductor import Change, Conductor, Weather
from tests.integration.support.steps import Steps

_SOON: Final = st.floats(0, 0.15)
_CHANGES: Final = st.lists(
    st.tuples(_SOON, st.sampled_from(["cancel", "address", "address"])), max_size=4
)
_FAULTS: Final = st.lists(
    st.builds(
        Fault,
        at=st.sampled_from(["charge", "dispatch", "dispatch", "refund", "recall"]),
        kind=st.sampled_from(["refuse", "fail_before", "hang_before", "reply_lost", "hang_after"]),
        times=st.integers(1, 3),
        seconds=st.sampled_from([0.01, 0.05, 0.12]),
    ),
    max_size=4,
)
_WEATHER: Final = st.builds(
    Weather,
    seed=st.integers(0, 10**6),
    losses=st.sampled_from([0.0, 0.1, 0.3]),
    patience=st.sampled_from([0.02, 0.06, 0.5]),
    deadline=st.sampled_from([0.05, 0.15, 0.4, 2.0]),
    heard=st.sampled_from([0.0, 0.5, 1.0]),
)
_FINE: Final = Weather(seed=1, losses=0, patience=0.5, deadline=2)
_numbers = itertools.count()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a gateway's call up after hundredths of a second, so that a hang is short."""
    for package in ("orderfleet_order_worker", "orderfleet_shipping_worker"):
        monkeypatch.setattr(f"{package}.activities.GATEWAY_CALL_SECONDS", 0.08)
        monkeypatch.setattr(f"{package}.activities.GATEWAY_LOOKUP_SECONDS", 0.08)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=_CHANGES, faults=_FAULTS, weather=_WEATHER)
@example([], [], _FINE)
@example([(0.0, "cancel")], [], _FINE)
@example([(0.0, "address")], [Fault("dispatch", "refuse", times=1)], _FINE)
async def test_money_balances_and_answers_are_true(
    pool: Pool,
    owner: Pool,
    impatient: None,
    changes: list[tuple[float, str]],
    faults: list[Fault],
    weather: Weather,
) -> None:
    # A failed example must not fail the next ones: the books are balanced over all orders.
    await owner.execute("DELETE FROM events; DELETE FROM payments; DELETE FROM orders")
    await owner.execute("DELETE FROM gateway.charges; DELETE FROM gateway.shipments")
    order_id = f"order-{next(_numbers)}"
    sent = [
        Change(f"{kind}-{n}", after, Address(f"{n} Street", "Town") if kind == "address" else None)
        for n, (after, kind) in enumerate(changes)
    ]
    conductor = Conductor(Steps(pool, order_id, tuple(faults)), pool, weather)
    await conductor.run(sent)

    ledger = await balance(pool)
    assert ledger.balanced, ledger
    left = await books(pool, order_id)
    if not left.order:
        assert not left.charges
        assert not left.shipments
        return
    event(f"{left.order['state']}, {[row['status'] for row in left.charges + left.shipments]}")
    assert OrderState(left.order["state"]).ended
    assert len(left.charges) <= 1
    assert {row["status"] for row in left.payments} <= {"captured", "voided", "refunded"}
    numbers = [event["number"] for event in left.events]
    assert numbers == list(range(1, len(numbers) + 1))
    for change in sent:
        _check_answer(left, change, applied=conductor.answers[change.change_id])
    if left.taken:
        assert left.taken[0]["address_json"] == _last_address(left)


def _check_answer(left: Books, change: Change, *, applied: bool) -> None:
    kinds = {row["event_key"].rpartition("/")[2]: row["type"] for row in left.events}
    if change.address is None:
        assert applied == (left.order["state"] == "cancelled")
        if not applied:
            assert kinds[change.change_id] == "cancel_refused"
    else:
        wanted = "address_updated" if applied else "address_update_refused"
        assert kinds[change.change_id] == wanted


def _last_address(left: Books) -> dict[str, object]:
    """Return the address of the last applied change, the last that the customer was told."""
    addresses = [
        row["payload_json"]["address"] for row in left.events if row["type"] == "address_updated"
    ]
    home: dict[str, object] = msgspec.to_builtins(Address("1 Home Street", "Hometown"))
    return addresses[-1] if addresses else home
