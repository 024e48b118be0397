"""The rates of tenants."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderfleet.environment import SettingsError
from orderfleet_api.settings import ApiSettings
from orderfleet_api.tenants import Rate, TokenBucket, parse_rates

_NAMES = {"shop", "shop-2", "batch"}
_KEYS = f"shop:{sha256(b'a').hexdigest()},batch:{sha256(b'b').hexdigest()}"


def test_a_rate_has_a_burst_of_its_own_or_as_many_orders_as_a_second() -> None:
    rates = parse_rates("shop:5, shop-2:0.5,batch:2.5:40,", _NAMES)
    assert rates == {"shop": Rate(5, 5), "shop-2": Rate(0.5, 1), "batch": Rate(2.5, 40)}
    assert parse_rates("", _NAMES) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop", "expected name:rate"),
        ("shop:", "expected name:rate"),
        ("shop:fast", "expected name:rate"),
        ("shop:-1", "expected name:rate"),
        ("shop:1e3", "expected name:rate"),
        ("shop:nan", "expected name:rate"),
        ("shop:1:2.5", "expected name:rate"),
        ("shop:1:2:3", "expected name:rate"),
        ("shop:\u0661", "expected name:rate"),
        ("shop:1,shop:2", "each name once"),
        ("shop:0", "must be above 0"),
        ("shop:1:0", "must be above 0"),
        ("nobody:1", "is nobody"),
        ("(none):1", "expected name:rate"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match="ORDERFLEET_TENANT_RATES: ") as raised:
        parse_rates(text, _NAMES)
    assert message in str(raised.value)


def test_the_settings_check_the_rates_at_start() -> None:
    environ = {"ORDERFLEET_API_KEYS": _KEYS, "ORDERFLEET_TENANT_RATES": "shop:3:6"}
    assert ApiSettings.from_env(environ).rates == {"shop": Rate(3, 6)}
    with pytest.raises(SettingsError, match="no key in ORDERFLEET_API_KEYS is shop-2"):
        ApiSettings.from_env(environ | {"ORDERFLEET_TENANT_RATES": "shop-2:3"})
    with pytest.raises(SettingsError, match="no key in ORDERFLEET_API_KEYS is shop"):
        ApiSettings.from_env({"ORDERFLEET_TENANT_RATES": "shop:3"})


def test_admission_is_on_unless_it_is_turned_off() -> None:
    assert ApiSettings.from_env({}).admission_on
    assert not ApiSettings.from_env({"ORDERFLEET_ADMISSION": "off"}).admission_on
    with pytest.raises(SettingsError, match="ORDERFLEET_ADMISSION"):
        ApiSettings.from_env({"ORDERFLEET_ADMISSION": "false"})


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    bucket = TokenBucket(Rate(2, 3), now=100)
    assert [bucket.take(100) for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.take(100.25) == pytest.approx(0.25)
    assert bucket.take(100.5) == 0
    assert bucket.take(100.5) == pytest.approx(0.5)


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(Rate(2, 3), now=0)
    assert [bucket.take(1000) for _ in range(4)] == [0, 0, 0, 0.5]


@given(
    per_second=st.floats(0.1, 1000),
    burst=st.integers(1, 100),
    pauses=st.lists(st.floats(0, 10), max_size=200),
)
def test_no_more_pass_than_the_burst_and_the_rate(
    per_second: float, burst: int, pauses: list[float]
) -> None:
    bucket = TokenBucket(Rate(per_second, burst), now=0)
    now, passed = 0.0, 0
    for pause in pauses:
        now += pause
        passed += bucket.take(now) == 0
    assert passed <= burst + now * per_second + 1e-6


@given(per_second=st.floats(0.1, 1000), burst=st.integers(1, 20))
def test_who_waits_as_long_as_the_bucket_says_gets_a_token(per_second: float, burst: int) -> None:
    bucket = TokenBucket(Rate(per_second, burst), now=0)
    for _ in range(burst):
        assert bucket.take(0) == 0
    wait = bucket.take(0)
    assert wait > 0
    assert bucket.take(wait + 1e-6) == 0
