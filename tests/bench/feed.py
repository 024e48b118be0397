"""The feed of events: what many streams cost the API, and how late an event arrives.

The orders are written by the store's own statements, without workflows: with them, 10 orders a
second take two cores, and leave nothing for what is measured.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Final, cast

from msgspec import Struct

from orderfleet.domain import events
from orderfleet.domain.events import EventType
from orderfleet.domain.orders import Address, Item, Order, OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store.dispatch import claim_dispatch
from orderfleet.store.payments import begin_charge, record_payment_outcome
from orderfleet.store.pool import Pool, open_pool
from orderfleet.store.transitions import move, receive
from orderfleet_cli.local.ports import LOOPBACK
from orderfleet_cli.local.postgres import DATABASE, ROLE
from tests.bench.bench import Bench
from tests.bench.spread import Spread, percentiles
from tests.bench.subjects.orderfleet import Options, run_orderfleet
from tests.bench.table import table
from tests.bench.usage import cpu

PART: Final = "feed"
_ORDER_STREAMS: Final = 2_000
_FEEDS: Final = 50
_PER_SECOND: Final = 10
_SECONDS: Final = 60
_IDLE_SECONDS: Final = 15
_REVIEW_SECONDS: Final = 2.0
_AT_ONCE: Final = 50
_MS: Final = 1000.0
_EVENT: Final = re.compile(rb'id: (\d+)\r\nevent: \w+\r\ndata: \{.*?"(?:time|ts)":"([^"]+)"')
_HOME: Final = Address("1 Main St", "Springfield")


class Load(Struct, frozen=True):
    """What the streams got in so many seconds, and at what cost."""

    order_streams: int
    feeds: int
    orders_a_second: float
    events: int
    cores: dict[str, float]
    feed_seconds: dict[str, float]
    """From the time of an event until a stream of all events had it."""
    order_seconds: dict[str, float]
    """The same of the streams of one order."""
    missed: int
    repeated: int


class _Stream(asyncio.Protocol):
    """A client that notes each event's id and how late it came."""

    def __init__(self, path: str, on_end: Callable[[], object] = lambda: None) -> None:
        self.ids: list[int] = []
        self.late: list[float] = []
        self.opened = asyncio.get_running_loop().create_future()
        self._path = path
        self._on_end = on_end
        self._buffer = b""
        self._began = time.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A class of uvloop's own, which is none of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(f"GET {self._path} HTTP/1.1\r\nhost: {LOOPBACK}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.time()
        self._buffer += data
        if not self.opened.done():
            if b"\r\n\r\n" not in self._buffer:
                return
            self.opened.set_result(self._buffer.startswith(b"HTTP/1.1 200"))
        end = 0
        for match in _EVENT.finditer(self._buffer):
            end = match.end()
            at = datetime.fromisoformat(match[2].decode()).timestamp()
            self.ids.append(int(match[1]))
            if at > self._began:
                self.late.append(now - at)
        self._buffer = self._buffer[end:]
        if data.endswith(b"0\r\n\r\n"):
            self.close()
            self._on_end()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_result(False)

    def close(self) -> None:
        self._transport.close()


class _Audience:
    """The streams of one order each, always as many, and those of all."""

    def __init__(self, port: int, pool: Pool, prefix: str) -> None:
        self.open_orders: list[str] = []
        self.streams: list[_Stream] = []
        self.feeds: list[_Stream] = []
        self._port = port
        self._pool = pool
        self._ids = (f"{prefix}-{number}" for number in count(1))
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def gather(self) -> None:
        """Open all streams."""
        self.feeds = [await self._open(_Stream("/events")) for _ in range(_FEEDS)]
        await asyncio.gather(*(self._add_order() for _ in range(_ORDER_STREAMS)))

    async def _add_order(self) -> None:
        order_id = next(self._ids)
        async with self._gate:
            order = Order(
                payment_id=f"pay-{order_id}", address=_HOME, items=[Item("ABC", 1, "1.00")]
            )
            await receive(self._pool, order_id, order, {})
            stream = _Stream(f"/orders/{order_id}/events", self._replace)
            self.streams.append(await self._open(stream))
            self.open_orders.append(order_id)

    def _replace(self) -> None:
        task = asyncio.create_task(self._add_order())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, stream: _Stream) -> _Stream:
        await asyncio.get_running_loop().create_connection(lambda: stream, LOOPBACK, self._port)
        if not await stream.opened:
            raise ConnectionError("the API refused a stream")
        return stream

    def forget(self) -> None:
        """Forget what has come so far."""
        for stream in (*self.streams, *self.feeds):
            stream.late.clear()


async def feed(bench: Bench) -> None:
    """Open all streams, measure them while nothing happens, then under a flow of orders."""
    streams = _ORDER_STREAMS + _FEEDS
    env = {
        "ORDERFLEET_API_STREAMS": str(streams + 50),
        "ORDERFLEET_API_CONNECTIONS": str(streams + 250),
    }
    options = Options(workers=0, env=env)
    url = bench.server.postgres.url(user=ROLE, database=DATABASE)
    async with (
        run_orderfleet(bench.data, bench.server, options) as fleet,
        open_pool(url, size=20, wait_seconds=5) as pool,
    ):
        trees = {"api": fleet.trees["api"], "postgres": bench.server.trees["postgres"]}
        audience = _Audience(fleet.http.port, pool, bench.prefix("feed"))
        await audience.gather()
        for name, per_second, seconds in (
            ("idle", 0, _IDLE_SECONDS),
            ("10 orders/s", _PER_SECOND, _SECONDS),
        ):
            audience.forget()
            first = await pool.fetchval("SELECT max(id) FROM events")
            before, began = cpu(trees), time.monotonic()
            await _flow(pool, audience, per_second, seconds)
            took = time.monotonic() - began
            cores = {key: (used - before[key]) / took for key, used in cpu(trees).items()}
            await asyncio.sleep(1)
            figure = await _figure(pool, audience, first, took, cores)
            bench.results.add(PART, name, figure)
        for stream in (*audience.feeds, *audience.streams):
            stream.close()


async def _flow(pool: Pool, audience: _Audience, per_second: float, seconds: float) -> None:
    """Let so many orders a second go their way."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    under_way: set[asyncio.Task[None]] = set()
    for number in range(int(seconds * per_second)):
        await asyncio.sleep(began + number / per_second - loop.time())
        under_way.add(asyncio.create_task(_fulfil(pool, audience.open_orders.pop(0))))
    await asyncio.sleep(began + seconds - loop.time())
    await asyncio.gather(*under_way)


async def _fulfil(pool: Pool, order_id: str) -> None:
    """Write what the workers write of an order."""
    validated = [events.done(EventType.VALIDATED, 1)]
    await move(pool, order_id, validated, to=OrderState.IN_REVIEW)
    await asyncio.sleep(_REVIEW_SECONDS)
    await begin_charge(pool, order_id, f"pay-{order_id}", {"approved": True}, {"attempt": 1})
    await record_payment_outcome(
        pool, order_id, f"pay-{order_id}", PaymentStatus.CAPTURED, {"attempt": 1}
    )
    await move(pool, order_id, [events.done(EventType.PREPARED, 1)], to=OrderState.SHIPPING)
    key = f"{order_id}/1"
    await claim_dispatch(pool, order_id, key, "1.1", {"attempt": 1})
    await move(pool, order_id, [events.fulfilled("T-1")], to=OrderState.FULFILLED, dispatch_key=key)


async def _figure(
    pool: Pool, audience: _Audience, first: int, took: float, cores: dict[str, float]
) -> Load:
    rows = await pool.fetch("SELECT id FROM events WHERE id > $1", first)
    written = {row[0] for row in rows}
    read = [[id_ for id_ in stream.ids if id_ in written] for stream in audience.feeds]
    ended = await pool.fetchval(
        "SELECT count(*) FROM events WHERE id > $1 AND type = 'fulfilled'", first
    )
    return Load(
        order_streams=_ORDER_STREAMS,
        feeds=_FEEDS,
        orders_a_second=ended / took,
        events=len(written),
        cores=cores,
        feed_seconds=percentiles(list(_late(audience.feeds))),
        order_seconds=percentiles(list(_late(audience.streams))),
        missed=sum(len(written) - len(set(ids)) for ids in read),
        repeated=sum(len(ids) - len(set(ids)) for ids in read),
    )


def _late(streams: Sequence[_Stream]) -> Iterator[float]:
    for stream in streams:
        yield from stream.late


def section(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the figures as a table."""
    head = (
        *("", "streams of one order, of all", "orders/s", "events"),
        *("cores of the API, of Postgres", "events within p50, p95, p99, ms: of all", "of one"),
        "missed, repeated",
    )
    rows = []
    for name, loads in figures.items():
        last = loads[-1]
        used = [
            Spread.of(load["cores"][key] for load in loads).shown(2) for key in ("api", "postgres")
        ]
        rows.append(
            (
                name,
                f"{last['order_streams']}, {last['feeds']}",
                f"{last['orders_a_second']:.1f}",
                str(last["events"]),
                ", ".join(used),
                _shares(loads, "feed_seconds"),
                _shares(loads, "order_seconds"),
                ", ".join(
                    str(sum(load[what] for load in loads)) for what in ("missed", "repeated")
                ),
            )
        )
    return table(head, rows)


def _shares(loads: Sequence[Mapping[str, Any]], what: str) -> str:
    return ", ".join(
        f"{Spread.of(load[what][share] for load in loads).median * _MS:.0f}"
        for share in loads[0][what]
    )
