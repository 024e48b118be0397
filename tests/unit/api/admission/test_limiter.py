"""The limiter before a simulated fleet: an accepted order ends in time, and little is given away.

The bounds leave room for what a seed changes; `docs/decisions/0026-admission.md` has the figures.
"""

from collections.abc import Callable
from functools import partial

import pytest

from orderfleet_api.admission.limiter import Limiter, Observation, retry_after
from tests.unit.api.admission.simulated_fleet import Pod, SimulatedFleet

SEEDS = (1, 2)
TINY = partial(SimulatedFleet, work=4.0)
MANY_CORES = partial(SimulatedFleet, cores=8)
SLOW_GATEWAY = partial(SimulatedFleet, pay_seconds=2.0, slots=20)
PATIENT_GATEWAY = partial(SimulatedFleet, pay_seconds=6.0, slots=200)
FAR_AWAY = partial(SimulatedFleet, latency=0.4)
_ADDED = ((25, 4), (40, 6), (55, 8))


def constant(rate: float) -> Callable[[float], float]:
    return lambda _: rate


def step(at: float, before: float, after: float) -> Callable[[float], float]:
    return lambda now: before if now < at else after


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("times", [3, 10])
@pytest.mark.parametrize(
    "fleet",
    [
        pytest.param(SimulatedFleet, id="two cores"),
        pytest.param(MANY_CORES, id="eight cores"),
        pytest.param(SLOW_GATEWAY, id="slow gateway"),
    ],
)
def test_overload(fleet: Callable[..., SimulatedFleet], times: float, seed: int) -> None:
    simulated = fleet(seed=seed)
    simulated.run(constant(times * simulated.capacity), 60)
    assert all(order.in_time for order in simulated.orders)
    assert simulated.fulfilled_a_second(20, 60) >= 0.88 * simulated.capacity


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "fleet",
    [
        pytest.param(SimulatedFleet, id="two cores"),
        pytest.param(MANY_CORES, id="eight cores"),
        pytest.param(SLOW_GATEWAY, id="slow gateway"),
        pytest.param(PATIENT_GATEWAY, id="slow gateway with many slots"),
        pytest.param(FAR_AWAY, id="Temporal far away"),
    ],
)
def test_a_load_below_capacity_is_not_refused(
    fleet: Callable[..., SimulatedFleet], seed: int
) -> None:
    simulated = fleet(seed=seed)
    simulated.run(constant(0.7 * simulated.capacity), 120)
    assert all(order.in_time for order in simulated.orders)
    # The first seconds are those of a limit that does not know the fleet.
    assert len([at for at in simulated.refused if at > 10]) <= 0.04 * len(simulated.orders)


@pytest.mark.parametrize("seed", SEEDS)
def test_refusals_end_soon_after_the_overload(seed: int) -> None:
    simulated = SimulatedFleet(seed=seed)
    simulated.run(step(60, 30, 7), 120)
    assert len([at for at in simulated.refused if 70 < at < 90]) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sudden_overload(seed: int) -> None:
    simulated = SimulatedFleet(seed=seed)
    simulated.run(step(60, 1, 30), 120)
    assert all(order.in_time for order in simulated.orders)


@pytest.mark.parametrize("seed", SEEDS)
def test_half_of_the_workers_are_lost(seed: int) -> None:
    simulated = SimulatedFleet(seed=seed)
    simulated.run(constant(30), 120, (60, lambda fleet: fleet.set_cores(1)))
    late = [order for order in simulated.orders if not order.in_time]
    # Only those that were accepted for the fleet as it was.
    assert len(late) <= 0.03 * len(simulated.orders)
    assert not [order for order in late if order.accepted > 65]
    assert simulated.fulfilled_a_second(80, 120) >= 0.8 * simulated.capacity


@pytest.mark.parametrize("seed", SEEDS)
def test_more_workers_are_used(seed: int) -> None:
    simulated = SimulatedFleet(seed=seed)
    simulated.run(constant(30), 120, (60, lambda fleet: fleet.set_cores(4)))
    assert all(order.in_time for order in simulated.orders)
    assert simulated.fulfilled_a_second(75, 120) >= 0.8 * simulated.capacity


@pytest.mark.parametrize("seed", SEEDS)
def test_the_backlog_of_an_outage_is_refused(seed: int) -> None:
    simulated = SimulatedFleet(seed=seed)
    simulated.run(
        constant(7),
        120,
        (40, lambda fleet: fleet.set_cores(0)),
        (70, lambda fleet: fleet.set_cores(2)),
    )
    after = simulated.between(70, 120)
    assert all(order.in_time for order in after)
    assert min(order.ended for order in after) <= 75
    assert len([at for at in simulated.refused if 80 < at < 100]) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fleet_of_one_order_in_two_seconds(seed: int) -> None:
    simulated = TINY(seed=seed)
    simulated.run(constant(1.5), 300)
    # The first orders are those of a limit that does not know the fleet.
    settled = simulated.between(60, 300)
    assert settled
    assert sum(not order.in_time for order in settled) <= 0.05 * len(settled)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_small_fleet_to_which_workers_are_added(seed: int) -> None:
    """One charge of 2 s at a time in each of two workers, and three orders a second at once."""
    simulated = SimulatedFleet(cores=8, pay_seconds=2.0, slots=2, pods=[Pod(), Pod()], seed=seed)
    changes = [(at, partial(SimulatedFleet.set_slots, slots=slots)) for at, slots in _ADDED]
    simulated.run(constant(3), 100, *changes)
    late = [order for order in simulated.orders if not order.in_time]
    assert len(late) <= 0.01 * len(simulated.orders)
    assert len([at for at in simulated.refused if at > 75]) <= 0.1 * 3 * 25


@pytest.mark.parametrize("seed", SEEDS)
def test_four_pods_decide_alone(seed: int) -> None:
    simulated = MANY_CORES(pods=[Pod() for _ in range(4)], seed=seed)
    simulated.run(constant(120), 60)
    assert all(order.in_time for order in simulated.orders)
    assert simulated.fulfilled_a_second(20, 60) >= 0.88 * simulated.capacity
    fair = len(simulated.orders) / 4
    limits = [pod.limiter.limit for pod in simulated.pods]
    assert fair > 0
    assert max(limits) <= 4 * min(limits)


def observation(
    *waits: float, waiting: int = 0, left: int = 0, ages: tuple[float, ...] = ()
) -> Observation:
    return Observation([list(waits)], [list(ages)], left=left, waiting=waiting)


def test_what_some_orders_wait_is_no_queue() -> None:
    limiter = Limiter(10, 2)
    for turn in range(20):
        limiter.admits(20, 20)
        # A third hangs until its time-out, as gateways do.
        limiter.observe(turn / 2, observation(0.1, 0.1, 4.0, waiting=20, left=3))
    assert limiter.limit >= 20


def test_what_all_orders_wait_is_a_queue() -> None:
    limiter = Limiter(10, 2)
    limiter.limit = 40
    for turn in range(20):
        limiter.admits(20, 20)
        limiter.observe(turn / 2, observation(4.0, 4.1, 4.2, waiting=20, left=6))
    # 12 a second, and a sixth of 10 s.
    assert limiter.limit == pytest.approx(20, rel=0.01)


def test_orders_none_of_which_moves_are_a_queue() -> None:
    limiter = Limiter(10, 2)
    for turn in range(20):
        limiter.admits(20, 20)
        limiter.observe(turn / 2, observation(ages=(turn / 2,) * 20, waiting=20))
    assert limiter.limit == 1


def test_what_single_orders_wait_while_the_limit_is_not_in_use_is_no_queue() -> None:
    """Orders that come alone, some of which wait for the timeout of a killed worker's task."""
    limiter = Limiter(10, 2)
    for turn in range(0, 200, 2):
        limiter.admits(1, 1)
        limiter.observe(turn / 2, observation(ages=(0.5,), waiting=1))
        limiter.observe(turn / 2 + 0.5, observation(4.0, waiting=0, left=1))
    assert limiter.limit == 20


def test_a_limit_that_is_not_in_use_does_not_grow() -> None:
    limiter = Limiter(10, 2)
    for turn in range(100):
        limiter.admits(2, 2)
        limiter.observe(turn / 2, observation(0.1, waiting=2, left=5))
    assert limiter.limit == 20


def test_a_limit_beyond_what_is_in_use_falls_slowly() -> None:
    limiter = Limiter(10, 2)
    for turn in range(40):
        limiter.admits(100, 100)
        limiter.observe(turn / 2, observation(0.1, waiting=100, left=20))
    grown = limiter.limit
    assert grown > 100
    for turn in range(40, 60):
        limiter.observe(turn / 2, observation(0.1, waiting=30, left=5))
    assert limiter.limit == grown
    for turn in range(60, 200):
        limiter.observe(turn / 2, observation(0.1, waiting=30, left=5))
    assert limiter.limit == 60


def test_background_orders_take_half() -> None:
    limiter = Limiter(10, 2)
    assert [limiter.admits(waiting, waiting) for waiting in (9, 10, 19, 20)] == [
        True,
        True,
        True,
        False,
    ]
    answers = [limiter.admits(waiting, waiting, background=True) for waiting in (9, 10, 19)]
    assert answers == [True, False, False]


@pytest.mark.parametrize(
    ("seconds", "answer"), [(0, 1), (0.2, 1), (2, 2), (2.1, 3), (99, 15), (float("inf"), 15)]
)
def test_retry_after(seconds: float, answer: int) -> None:
    assert retry_after(seconds, 15) == answer


def test_the_time_until_a_place_is_free_is_littles_law() -> None:
    limiter = Limiter(10, 2)
    assert limiter.seconds_until_free(20) == 0
    limiter.observe(0, observation(ages=(9.0,) * 20, waiting=20))
    assert limiter.seconds_until_free(20) == float("inf")
    limiter = Limiter(10, 2)
    for turn in range(10):
        limiter.observe(turn / 2, observation(0.1, waiting=20, left=4))
    assert limiter.seconds_until_free(20) == pytest.approx(2.5)


def test_a_fleet_without_throughput_is_doubted_once_an_order_has_waited() -> None:
    limiter = Limiter(10, 2)
    limiter.observe(0, observation(ages=(0.9,), waiting=1))
    assert [limiter.admits(1, pending) for pending in (3, 4)] == [True, False]
    limiter.observe(0.5, observation())
    assert not limiter.admits(0, 4)
    limiter.observe(1, observation())
    assert [limiter.admits(0, pending) for pending in (19, 20)] == [True, False]


def test_orders_in_the_review_will_wait_too() -> None:
    limiter = Limiter(10, 2)
    # A fleet about which nothing is known: as many as may wait.
    assert [limiter.admits(0, pending) for pending in (19, 20)] == [True, False]
    for turn in range(20):
        limiter.observe(turn / 2, observation(0.1, waiting=2, left=5))
    # Ten a second: twice what they are in the review's 2 s and the budget of 1.7 s.
    assert [limiter.admits(0, pending) for pending in (73, 74)] == [True, False]
    answers = [limiter.admits(0, pending, background=True) for pending in (36, 37)]
    assert answers == [True, False]


_NEAR = 10 / 6 / 4 + 2


@pytest.mark.parametrize(
    ("least", "wait", "pending"),
    [
        # Ten a second in the review's 2 s and a quarter of the budget, which is a sixth of 10 s.
        pytest.param(0.1, 0.1, 3 * 10 * _NEAR, id="no queue for long"),
        pytest.param(0.1, 0.1 + 10 / 6 / 4 / 8, 1.175 * 10 * _NEAR, id="half of the queue"),
        pytest.param(0.1, 0.9, 1.05 * 10 * _NEAR, id="a long queue"),
        pytest.param(0.8, 0.8, 3 * 10 * (1.5 * 0.8 + 2), id="as long as the way is"),
        pytest.param(1.5, 1.5, 3 * 10 * (10 / 6 + 2), id="far away"),
    ],
)
def test_of_a_flood_fewer_orders_may_be_pending_the_longer_they_wait(
    least: float, wait: float, pending: float
) -> None:
    limiter = Limiter(10, 2)
    for turn in range(40):
        each = least if turn < 20 else wait
        limiter.observe(turn / 2, observation(each, waiting=2, left=5))
    assert limiter.flood_limit == pytest.approx(pending)


def test_the_pace_is_the_throughput_and_what_is_missing_of_the_pending() -> None:
    limiter = Limiter(10, 2)
    # As many in the longest time as may be pending of a fleet about which nothing is known.
    assert limiter.pace(0) == pytest.approx(20 / (10 / 6 + 2))
    for turn in range(20):
        limiter.observe(turn / 2, observation(0.1, waiting=2, left=5))
    many = round(limiter.flood_limit)
    paces = [limiter.pace(pending) for pending in (0, many // 2, many, 2 * many)]
    assert paces == pytest.approx([20, 20, 10, 20 / (10 / 6 + 2)], rel=0.05)


def test_a_wait_of_some_steps_is_not_the_least() -> None:
    limiter = Limiter(10, 2)
    limiter.observe(0, Observation([[0.1], []], [[], []], left=5, waiting=2))
    for turn in range(1, 20):
        waits = Observation([[0.4], [0.4]], [[], []], left=5, waiting=2)
        limiter.observe(turn / 2, waits)
    assert limiter.flood_limit >= 1.05 * 10 * (1.5 * 0.5 + 2)
