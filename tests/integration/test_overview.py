"""The overview, against real Postgres and Temporal."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx

from orderfleet.domain.orders import OPEN_STATES, OrderState
from orderfleet.store.overview import read_ends, read_orders_now
from orderfleet.store.pool import Pool
from tests.integration.support.books import put_order
from tests.integration.support.fleet import Fleet, eventually, new_id


async def test_open_orders_are_listed_by_the_time_that_they_have(pool: Pool, owner: Pool) -> None:
    ids = [new_id() for _ in range(5)]
    for seconds, order_id in enumerate(ids):
        await put_order(owner, order_id, OrderState.CHARGING)
        await owner.execute(
            "UPDATE orders SET created_at = now() - make_interval(secs => $2) WHERE id = $1",
            order_id,
            10.0 - seconds,
        )
    await owner.execute(
        "INSERT INTO events (order_id, number, type, payload_json, event_key) VALUES"
        """ ($1, 90, 'charging', '{"attempt": 3}', 'a'), ($1, 91, 'x', '{"attempt": "9"}', 'b')""",
        ids[0],
    )
    await put_order(owner, ended := new_id(), OrderState.TIMED_OUT)
    now = await read_orders_now(pool, most_open=3)
    assert [order.id for order in now.open] == ids[:3]
    assert now.open_by_state == {
        state: 5 if state is OrderState.CHARGING else 0 for state in OPEN_STATES
    }
    assert [order.attempts for order in now.open] == [3, 1, 1]
    assert 9.9 < now.open[0].age_seconds < 15
    assert [(order.id, order.state) for order in now.ended] == [(ended, OrderState.TIMED_OUT)]


async def test_ends_are_counted_by_the_minute(pool: Pool, owner: Pool) -> None:
    ends = [(0, OrderState.FULFILLED), (0, OrderState.FULFILLED), (3, OrderState.FAILED)]
    for minutes, state in [*ends, (14, OrderState.CANCELLED), (20, OrderState.FULFILLED)]:
        await put_order(owner, order_id := new_id(), state)
        await owner.execute(
            "UPDATE orders SET created_at = at, updated_at = at"
            " FROM (SELECT now() - make_interval(mins => $2) AS at) AS ago WHERE id = $1",
            order_id,
            minutes,
        )
    read = await read_ends(pool)
    assert [minute.ends for minute in read] == [
        {OrderState.CANCELLED: 1},
        *[{}] * 10,
        {OrderState.FAILED: 1},
        *[{}] * 2,
        {OrderState.FULFILLED: 2},
    ]
    assert {later.minute - minute.minute for minute, later in pairwise(read)} == {
        timedelta(minutes=1)
    }
    assert timedelta(0) <= datetime.now(UTC) - read[-1].minute < timedelta(minutes=2)


async def test_queues_have_their_workers(fleet: Fleet, http: httpx.AsyncClient) -> None:
    async with fleet.working():

        async def both_are_shown() -> bool:
            queues = (await http.get("/overview")).json()["queues"]
            return [len(queue["workers"]) for queue in queues] == [1, 1]

        await eventually(both_are_shown)
        overview = (await http.get("/overview")).json()
    assert overview["unavailable"] == {}
    orders, shipping = overview["queues"]
    assert orders["task_queue"] == f"orders-{fleet.suffix}"
    assert shipping["task_queue"] == f"shipping-{fleet.suffix}"
    [worker] = orders["workers"]
    assert worker["status"] == "running"
    assert worker["workflow_slots"]["of"] > 0
    assert (orders["workflow_backlog"], orders["activity_backlog"]) == (0, 0)
