"""The overview: shared by all who ask, and whole without Postgres and Temporal."""

import asyncio

import pytest

from orderfleet_api import errors
from orderfleet_api.overview import Shared
from tests.unit.api.test_app import serving


class _Source:
    """A source that counts its reads, and fails when it is told to."""

    def __init__(self) -> None:
        self.reads = 0
        self.error: Exception | None = None

    async def read(self) -> int:
        self.reads += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.reads


async def test_all_who_ask_at_once_share_a_read() -> None:
    source = _Source()
    shared = Shared(source.read, seconds=60)
    results = await asyncio.gather(*(shared.get() for _ in range(100)))
    assert [result.value for result in results] == [1] * 100
    assert (await shared.get()).value == 1
    assert source.reads == 1


async def test_an_old_result_is_read_anew() -> None:
    source = _Source()
    shared = Shared(source.read, seconds=0)
    assert [(await shared.get()).value for _ in range(3)] == [1, 2, 3]


async def test_who_leaves_does_not_end_the_read_of_others() -> None:
    source = _Source()
    shared = Shared(source.read, seconds=60)
    leaving, staying = (asyncio.create_task(shared.get()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).value == 1


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (errors.unavailable("Postgres is unavailable."), "Postgres is unavailable."),
        (TimeoutError(), "No answer within 2 s."),
        (ZeroDivisionError(), "An unexpected error occurred. The log has the details."),
    ],
)
async def test_a_failure_has_its_reason_and_lasts_no_longer_than_a_result(
    error: Exception, why: str
) -> None:
    source = _Source()
    source.error = error
    shared = Shared(source.read, seconds=0)
    failed = await shared.get()
    assert (failed.value, failed.failure) == (None, why)
    source.error = None
    recovered = await shared.get()
    assert (recovered.value, recovered.failure) == (2, "")


async def test_without_postgres_and_temporal_the_rest_is_answered(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        answer = await http.get("/overview")
    assert answer.status_code == 200
    overview = answer.json()
    assert (overview["orders"], overview["ends"], overview["queues"]) == (None, None, None)
    assert overview["unavailable"] == {
        "orders": "Postgres is unavailable.",
        "ends": "Postgres is unavailable.",
        "queues": "Temporal is unavailable.",
    }
    assert overview["deadline_seconds"] == 15
    assert overview["forward_seconds"] == 12
    [tenant] = overview["admission"]["tenants"]
    assert tenant["tenant"] == "(none)"
