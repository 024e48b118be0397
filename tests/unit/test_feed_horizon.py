"""Up to where the feed is settled, by what was seen of the table and its writers."""

from orderfleet.store.feed import Horizon, Look


def _horizon(*looks: Look) -> Horizon:
    horizon = Horizon()
    for second, look in enumerate(looks):
        horizon.observe(look, float(second))
    return horizon


def test_without_writers_all_that_is_visible_is_settled() -> None:
    assert _horizon(Look(7, {})).settled == 7


def test_writers_at_the_time_are_waited_for() -> None:
    first = Look(7, {"1/1": 11, "2/1": 12})
    assert _horizon(first).settled == 0
    assert _horizon(first).waits_for == [11, 12]
    assert _horizon(first, Look(8, {"2/1": 12})).settled == 0
    # What was visible at the first look, not what came later.
    assert _horizon(first, Look(9, {"3/1": 13})).settled == 7
    assert _horizon(first, Look(9, {"3/1": 13}), Look(9, {})).settled == 9


def test_a_session_that_writes_again_is_not_waited_for() -> None:
    assert _horizon(Look(7, {"1/1": 11}), Look(8, {"1/2": 11})).settled == 7


def test_how_long_the_same_writers_have_been_waited_for() -> None:
    stuck = Look(7, {"1/1": 11})
    horizon = _horizon(stuck, stuck, stuck)
    assert horizon.waited(5.0) == 5.0
    horizon.observe(Look(8, {"2/2": 12}), 5.0)
    assert horizon.waited(6.0) == 1.0
    horizon.observe(Look(8, {}), 6.0)
    assert horizon.waited(9.0) == 0.0


def test_a_database_that_lost_events_uses_their_ids_again() -> None:
    horizon = _horizon(Look(100, {}), Look(60, {}))
    assert horizon.settled == 60
    horizon.observe(Look(61, {}), 2.0)
    assert horizon.settled == 61
    horizon = _horizon(Look(100, {"1/1": 11}), Look(60, {}))
    assert horizon.settled == 60
