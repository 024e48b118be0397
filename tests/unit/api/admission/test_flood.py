"""A tenant most of whose orders are refused beside others'; what gets in of them does so evenly."""

import pytest

from orderfleet_api.admission.flood import Flood


@pytest.mark.parametrize(("accepted", "refused", "flood"), [(0, 0, 0), (5, 5, 0), (5, 6, 1)])
def test_a_tenant_floods_while_most_of_its_orders_are_refused(
    accepted: int, refused: int, flood: bool
) -> None:
    floods = Flood()
    floods.offered("b", 9, refused=False)
    for number in range(accepted + refused):
        floods.offered("a", 9, refused=number < refused)
    expected = {"a"} if flood else set()
    floods.observe(10, 8)
    assert floods.tenants == expected
    floods.observe(15, 8)
    assert floods.tenants == expected
    floods.observe(15.1, 8)
    assert not floods.tenants


def test_who_is_alone_floods_nobody() -> None:
    floods = Flood()
    floods.offered("b", 0, refused=False)
    floods.offered("a", 59, refused=True)
    floods.observe(59.9, 8)
    assert floods.tenants == {"a"}
    # Its last order was a minute ago.
    floods.observe(60, 8)
    assert not floods.tenants


def test_where_nobody_gets_in_nobody_floods() -> None:
    """As after an outage."""
    floods = Flood()
    for tenant in ("a", "b"):
        floods.offered(tenant, 0, refused=False)
        for _ in range(2):
            floods.offered(tenant, 1, refused=True)
    floods.observe(1, 8)
    assert not floods.tenants


# At even rates that are no multiple of the pace, too: a pause after each order would lose most.
@pytest.mark.parametrize("offered", [9, 11, 18.8, 85, 1000])
def test_the_pace_is_used_whatever_is_offered(offered: float) -> None:
    flood = Flood()
    flood.observe(0, 8)
    taken = [at for number in range(int(10 * offered)) if flood.lets_in(at := number / offered)]
    assert 78 <= len(taken) <= 80 + 4
    # Not more than half a second's at once.
    assert sum(at < 0.05 for at in taken) <= 5


def test_the_pace_follows_the_fleet() -> None:
    flood = Flood()
    flood.observe(0, 8)
    assert flood.lets_in(0)
    flood.observe(1, 80)
    assert sum(flood.lets_in(1 + number / 100) for number in range(100)) >= 78
