"""The customers and the disturbances of chaos follow from the seed alone."""

import re
from itertools import islice, pairwise

import pytest

from orderfleet.domain.orders import ID_PATTERN
from tests.chaos.plan import SERVERS, SERVICES, Kind, disturbances
from tests.chaos.recording import CHANGES, PLACE, QUEUES
from tests.chaos.scripts import KINDS, STREAM, script

SCRIPTS = [script(7, number) for number in range(500)]
STEPS = [step for each in SCRIPTS for step in each.steps]


def test_a_seed_and_a_number_are_always_the_same_script() -> None:
    assert [script(7, number) for number in range(500)] == SCRIPTS
    assert script(8, 0) != script(7, 0)


def test_500_orders_have_every_kind_and_every_call() -> None:
    kinds = {each.order_id.rsplit("-", 2)[0] for each in SCRIPTS if not each.key}
    assert kinds == set(KINDS)
    operations = {step.operation for step in STEPS}
    assert operations >= {*CHANGES, PLACE, STREAM}
    assert any(each.key for each in SCRIPTS)
    assert any(step.copies > 1 for step in STEPS)
    assert any(step.patience < 1 for step in STEPS)


def test_every_order_has_an_id_of_its_own() -> None:
    ids = [each.order_id for each in SCRIPTS]
    assert len(set(ids)) == len(ids)
    assert all(re.match(ID_PATTERN, order_id) for order_id in ids)


def test_some_orders_come_with_the_payment_of_another() -> None:
    payments = [each.body["payment_id"] for each in SCRIPTS]
    assert 0 < len(payments) - len(set(payments)) < 50


def test_a_change_always_has_a_key() -> None:
    assert all(step.key for step in STEPS if step.operation in CHANGES)


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_disturbs_everything_and_is_quiet_after_an_outage(seed: int) -> None:
    plan = list(islice(disturbances(seed), 400))
    assert plan == list(islice(disturbances(seed), 400))
    assert {each.target for each in plan} == {*SERVICES, *SERVERS, *QUEUES}
    assert {each.kind for each in plan} == set(Kind)
    # Cutting the wire of a service would cut another service's as well.
    cut = {Kind.CUT, Kind.SWALLOW}
    assert all(each.target in SERVERS for each in plan if each.kind in cut)
    assert max(each.seconds for each in plan) <= 6
    outages = [at for at, each in enumerate(plan) if each.target not in SERVICES]
    apart = [sum(each.pause for each in plan[a + 1 : b]) for a, b in pairwise(outages)]
    assert min(apart) > 25
