"""The audit trail of an order as server-sent events, until there is nothing more to come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import msgspec
from litestar.response import ServerSentEventMessage

from orderfleet.orders import OrderState, PaymentStatus
from orderfleet.store import reads
from orderfleet.store.pool import UNAVAILABLE
from orderfleet.store.reads import EventRow, OrderRecord
from orderfleet_api.backends import Backends

# An order takes seconds; a stream costs a small statement each time.
_PAUSE: Final = 0.5
# Proxies close a connection that says nothing for a minute.
_KEEP_ALIVE: Final = 15.0


async def stream(
    backends: Backends, order_id: str, *, after: int
) -> AsyncIterator[ServerSentEventMessage]:
    """Yield the events from number `after` + 1 on; end with the order, or with this process.

    A client that comes back with `Last-Event-ID` misses nothing and gets nothing twice.
    """
    loop = asyncio.get_running_loop()
    spoken = loop.time()
    while not backends.stopping.is_set():
        try:
            record = await reads.find_record(backends.pool, order_id, after=after)
        except UNAVAILABLE:
            # The client comes back by itself, and to a replica that can answer.
            return
        for event in record.events if record else ():
            after = event.number
            spoken = loop.time()
            yield _message(event)
        if record and _settled(record):
            return
        if loop.time() - spoken > _KEEP_ALIVE:
            spoken = loop.time()
            yield ServerSentEventMessage(data=None, comment="still there")
        await _pause(backends.stopping)


def _settled(record: OrderRecord) -> bool:
    if record.order.state is OrderState.FULFILLED:
        return True
    owed = {PaymentStatus.PENDING, PaymentStatus.CAPTURED}
    return record.order.state.ended and not any(one.status in owed for one in record.payments)


async def _pause(stopping: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_PAUSE):
            await stopping.wait()


def _message(event: EventRow) -> ServerSentEventMessage:
    data = msgspec.json.encode(event).decode()
    return ServerSentEventMessage(id=event.number, event=event.type, data=data)
