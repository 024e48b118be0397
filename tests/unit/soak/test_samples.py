"""What a soak calls flat."""

from collections.abc import Callable

import pytest

from tests.soak.samples import (
    MIB,
    Process,
    Sample,
    Table,
    bytes_per_order,
    growth,
    is_long_enough,
    verdicts,
)

_MINUTE = 60.0


def sample(minute: int, **values: float) -> Sample:
    """Return a sample of a flat hour at 360 orders a minute, but for these values."""
    orders = 360 * minute
    return Sample(
        at=minute * _MINUTE,
        orders=orders,
        processes={
            "api": Process(int(values.get("memory", 100) * MIB), int(values.get("descriptors", 40)))
        },
        tables={
            "orderfleet: public.events": Table(
                size=int(1000 * values.get("bytes_orders", orders)),
                indexes=0,
                live=100_000,
                dead=int(values.get("dead", 10_000)),
            )
        },
        history_events=values.get("events", 40),
        history_bytes=9000,
    )


def flat(of: Callable[[int], dict[str, float]]) -> dict[str, bool]:
    """Return the verdicts of an hour whose values are those of each minute."""
    samples = [sample(minute, **of(minute)) for minute in range(61)]
    return {verdict.name: verdict.flat for verdict in verdicts(samples)}


def test_a_flat_hour_is_flat() -> None:
    assert all(flat(lambda _: {}).values())


def test_what_grows_in_the_first_half_only_is_flat() -> None:
    assert all(flat(lambda minute: {"memory": 100 + 4 * min(minute, 30)}).values())


@pytest.mark.parametrize(
    ("of", "name"),
    [
        (lambda minute: {"memory": 100 + minute}, "memory of api, MiB"),
        (lambda minute: {"descriptors": 40 + minute}, "descriptors of api"),
        (lambda minute: {"events": 40 + minute}, "events of an order's history"),
        (lambda minute: {"dead": 2000 * minute}, "dead rows of orderfleet: public.events, share"),
        (lambda minute: {"bytes_orders": 6 * minute**2}, "bytes of an order in all tables"),
    ],
)
def test_what_grows_on_is_found(of: Callable[[int], dict[str, float]], name: str) -> None:
    assert [grows for grows, is_flat in flat(of).items() if not is_flat] == [name]


def test_steps_and_waves_are_flat() -> None:
    """As other processes of the machine begin and end, and as garbage is collected."""
    assert all(flat(lambda minute: {"memory": 100 - 7 * (20 < minute < 50)}).values())
    assert all(flat(lambda minute: {"memory": 100 + 20 * (minute % 7 == 0)}).values())
    assert all(flat(lambda minute: {"descriptors": 160 - 50 * (30 < minute < 45)}).values())


def test_a_step_up_in_the_last_quarter_is_found() -> None:
    assert not all(flat(lambda minute: {"memory": 100 + 7 * (minute > 50)}).values())


def test_a_short_soak_is_not_judged() -> None:
    samples = [sample(minute) for minute in range(31)]
    assert is_long_enough(samples)
    assert not is_long_enough(samples[:20])


def test_an_order_adds_its_bytes() -> None:
    samples = [sample(minute) for minute in range(61)]
    assert growth(samples) == {"orderfleet: public.events": 1000}
    assert bytes_per_order(samples) == [1000] * 4
