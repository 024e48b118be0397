"""Which orders are accepted, and what those that are refused are answered."""

from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from math import ceil
from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from prometheus_client import CollectorRegistry
from temporalio.client import Client

from orderfleet.domain.events import EventType
from orderfleet.store.progress import Passed, Progress
from orderfleet.temporal.client import connect
from orderfleet_api import errors
from orderfleet_api.admission import Admission
from orderfleet_api.settings import ApiSettings

_KEYS = ",".join(f"{name}:{sha256(name.encode()).hexdigest()}" for name in ("a", "b", "c"))
# The limit of a fleet about which nothing is known.
_LIMIT = 20


class _Pod:
    """The admission of a pod with keys, and the time."""

    def __init__(self, temporal: Client, **settings: Any) -> None:
        self.now = 100.0
        self.temporal = temporal
        self.registry = CollectorRegistry()
        self.admission = Admission(
            ApiSettings(**{"api_keys": _KEYS} | settings), self.registry, lambda: self.now
        )
        self.placed = 0

    @property
    def waiting(self) -> int:
        return self.admission.orders.count

    async def place(
        self,
        tenant: str = "a",
        times: int = 1,
        *,
        order_id: str = "",
        background: bool = False,
        start: Callable[[], None] = lambda: None,
    ) -> None:
        for _ in range(times):
            self.placed += 1
            id_ = order_id or f"order-{self.placed}"
            async with self.admission.place(id_, tenant, self.temporal, background=background):
                start()

    async def refused(self, tenant: str = "a", **order: Any) -> tuple[int, str, int]:
        """Place an order that is refused; return status, reason and Retry-After."""
        before = self.waiting
        with pytest.raises(ProblemDetailsException) as raised:
            await self.place(tenant, **order)
        assert self.waiting == before
        problem = raised.value
        assert isinstance(problem.extra, dict)
        assert problem.headers is not None
        assert problem.detail
        reason = problem.extra["reason"]
        return problem.status_code, reason, int(problem.headers["Retry-After"])

    def counted(self, outcome: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"orderfleet_orders_{outcome}_total", labels)

    def observe(self, *dispatched: str) -> None:
        """Observe that these orders have been dispatched at once."""
        types = EventType.RECEIVED, EventType.VALIDATED, EventType.DISPATCHING
        passed = {type_.value: Passed(self.now, first_attempt=True) for type_ in types}
        progress = dict.fromkeys(dispatched, Progress(passed, self.now))
        self.admission.limiter.observe(self.now, self.admission.orders.observe(self.now, progress))


@pytest.fixture
async def nowhere(unused_tcp_port: int) -> Client:
    settings = ApiSettings(temporal_address=f"127.0.0.1:{unused_tcp_port}")
    return await connect(settings, lazy=True)


async def test_orders_beyond_the_limit_are_refused(nowhere: Client) -> None:
    pod = _Pod(nowhere)
    await pod.place(times=_LIMIT)
    # Nothing is known of the fleet yet.
    assert await pod.refused() == (HTTPStatus.TOO_MANY_REQUESTS, "busy", 1)
    assert pod.counted("accepted", tenant="a") == _LIMIT
    assert pod.counted("refused", tenant="a", reason="busy") == 1


async def test_places_that_become_free_are_taken(nowhere: Client) -> None:
    pod = _Pod(nowhere)
    pod.observe()
    await pod.place(times=_LIMIT)
    pod.now += 2
    pod.observe(*(f"order-{number}" for number in range(1, 16)))
    assert pod.waiting == 5
    # The limit was in use and grows: more get in than have left.
    await pod.place(times=16)
    while pod.admission.limiter.admits(pod.waiting, pod.waiting):
        await pod.place()
    # Fifteen have left in 2 s.
    assert await pod.refused() == (HTTPStatus.TOO_MANY_REQUESTS, "busy", ceil(pod.waiting / 7.5))


@pytest.mark.parametrize(("rate", "seconds"), [("1000", 1), ("0.4", 3), ("0.5", 2), ("0.01", 15)])
async def test_a_rate_says_when_the_next_order_comes(
    nowhere: Client, rate: str, seconds: int
) -> None:
    pod = _Pod(nowhere, tenant_rates=f"a:{rate}:3")
    await pod.place(times=3)
    assert await pod.refused() == (HTTPStatus.TOO_MANY_REQUESTS, "rate", seconds)
    assert pod.counted("refused", tenant="a", reason="rate") == 1
    # Nobody else has this rate.
    await pod.place("b", times=5)
    pod.now += 1 / float(rate)
    await pod.place()


async def test_an_order_that_finds_no_place_takes_nothing_of_the_rate(nowhere: Client) -> None:
    pod = _Pod(nowhere, tenant_rates="a:1:1")
    await pod.place("b", times=_LIMIT // 2)
    for _ in range(3):
        assert (await pod.refused(background=True))[1] == "busy"
    await pod.place()
    assert (await pod.refused())[1] == "rate"


async def test_a_tenant_within_its_share_gets_in_beside_the_flood(nowhere: Client) -> None:
    pod = _Pod(nowhere)
    await pod.place("a", times=_LIMIT)
    assert (await pod.refused("a"))[1] == "busy"
    await pod.place("b", times=_LIMIT // 2)
    assert await pod.refused("b") == (HTTPStatus.TOO_MANY_REQUESTS, "share", 1)
    assert (await pod.refused("a"))[1] == "share"
    # Among three the share is a third.
    await pod.place("c", times=7)
    assert (await pod.refused("c"))[1] == "share"
    assert pod.admission.orders.by_tenant == {"a": 20, "b": 10, "c": 7}
    assert pod.counted("refused", tenant="b", reason="share") == 1


async def test_background_orders_take_half_of_the_limit(nowhere: Client) -> None:
    pod = _Pod(nowhere)
    await pod.place(times=_LIMIT // 2, background=True)
    assert await pod.refused(background=True) == (HTTPStatus.TOO_MANY_REQUESTS, "busy", 1)
    # Also one whose tenant has nothing of it.
    assert (await pod.refused("b", background=True))[1] == "busy"
    await pod.place(times=_LIMIT // 2)
    assert (await pod.refused())[1] == "busy"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.unavailable("Temporal is unavailable."), "away"),
        (errors.problem(HTTPStatus.TOO_MANY_REQUESTS, "Temporal is busy."), "busy"),
        (errors.conflict("It belongs to another order."), ""),
        (KeyError(), ""),
    ],
)
async def test_an_order_that_was_not_started_gives_its_place_back(
    nowhere: Client, error: Exception, reason: str
) -> None:
    def fail() -> None:
        raise error

    pod = _Pod(nowhere)
    with pytest.raises(type(error)):
        await pod.place(order_id="o", start=fail)
    assert pod.waiting == 0
    assert "o" not in pod.admission.orders
    assert pod.counted("accepted", tenant="a") == 0
    for counted in ("away", "busy", "share", "rate"):
        assert pod.counted("refused", tenant="a", reason=counted) == (counted == reason)
    if reason:
        assert isinstance(error, ProblemDetailsException)
        assert error.extra == {"reason": reason}


async def test_a_repeat_takes_no_second_place_and_is_never_refused(nowhere: Client) -> None:
    def already_started() -> None:
        raise KeyError

    pod = _Pod(nowhere, tenant_rates="a:0.1:21")
    await pod.place(order_id="o")
    with pytest.raises(KeyError):
        await pod.place(order_id="o", start=already_started)
    assert pod.waiting == 1
    await pod.place(times=_LIMIT - 1)
    assert (await pod.refused())[1] == "busy"
    with pytest.raises(KeyError):
        await pod.place(order_id="o", start=already_started)
    assert pod.waiting == _LIMIT


@pytest.mark.parametrize(("seconds", "longest"), [(1, 1), (7.3, 8), (100, 15)])
async def test_without_temporal_nothing_is_started(
    nowhere: Client, seconds: float, longest: int
) -> None:
    pod = _Pod(nowhere)
    await pod.admission.life.look(nowhere)
    # A single failure may be a broken connection.
    await pod.place()
    await pod.admission.life.look(nowhere)
    pod.now += seconds
    assert await pod.refused() == (HTTPStatus.SERVICE_UNAVAILABLE, "away", longest)
    assert pod.counted("refused", tenant="a", reason="away") == 1


async def test_a_start_that_succeeds_is_a_sign_of_life(nowhere: Client) -> None:
    pod = _Pod(nowhere)
    await pod.admission.life.look(nowhere)
    await pod.place()
    pod.now += 60
    await pod.place()


async def test_off_refuses_and_tracks_nothing_and_counts(nowhere: Client) -> None:
    pod = _Pod(nowhere, admission="off", tenant_rates="a:1:1")
    await pod.admission.life.look(nowhere)
    pod.now += 60
    await pod.place(times=5 * _LIMIT)
    assert pod.waiting == 0
    assert pod.counted("accepted", tenant="a") == 5 * _LIMIT
    with (
        pytest.raises(ProblemDetailsException),
        pod.admission.counting_outages("a"),
    ):
        raise errors.unavailable("Postgres is unavailable.")
    assert pod.counted("refused", tenant="a", reason="away") == 1


async def test_without_keys_there_is_one_tenant(nowhere: Client) -> None:
    pod = _Pod(nowhere, api_keys="")
    await pod.place("", times=_LIMIT)
    assert (await pod.refused(""))[1] == "busy"
    assert pod.counted("accepted", tenant="(none)") == _LIMIT
    assert pod.counted("refused", tenant="(none)", reason="busy") == 1


async def test_the_review_is_no_time_to_wait_in(nowhere: Client) -> None:
    """An order with a review of nearly all its time may wait a little: a sixth of a tenth of it."""
    pod = _Pod(nowhere, order_deadline_seconds=20, review_seconds=19)
    await pod.place(times=_LIMIT)
    pod.now += 0.3
    pod.observe()
    assert pod.admission.limiter.standing_wait == pytest.approx(0.3)
    assert pod.admission.limiter.limit == _LIMIT
    assert await pod.refused() == (HTTPStatus.TOO_MANY_REQUESTS, "busy", 1)
    pod.now += 0.1
    pod.observe()
    assert pod.admission.limiter.limit < _LIMIT
    assert await pod.refused() == (HTTPStatus.TOO_MANY_REQUESTS, "busy", 20)
