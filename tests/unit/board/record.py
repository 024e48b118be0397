"""Record 200 orders of all kinds for the board's tests: `make record-orders`, in two minutes.

A fleet of real processes runs the orders. A trigger in its Postgres notes each order's row and
payment after every statement that changes them; the file has these beside the answer of
`GET /orders/{id}` at the end. To be run again for a new type of event or a new kind of end.
"""

import asyncio
import gzip
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
from temporalio.client import Client

from orderfleet.domain.contract import ORDER_TASK_QUEUE, ORDER_WORKFLOW
from orderfleet.gateways.simulated import Fault
from orderfleet.polling import poll
from orderfleet.settings import CommonSettings
from orderfleet.store.forget import forget_order
from orderfleet.store.pool import open_pool
from orderfleet.temporal.client import connect
from orderfleet_cli.local import Fleet, FleetOptions, Ports, run_fleet
from orderfleet_cli.signals import run_until_signal
from tests.e2e.support.orders import (
    ELSEWHERE,
    ENDS,
    Json,
    Orders,
    clients,
    eventually,
    new_id,
    types,
)

RECORDING: Final = Path(__file__).with_name("orders.jsonl.gz")
_TRIGGER: Final = """
CREATE SCHEMA recording;
CREATE TABLE recording.rows (
    id bigint GENERATED ALWAYS AS IDENTITY, order_id text, event_count integer, state text,
    address jsonb, payment text
);
CREATE FUNCTION recording.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO recording.rows (order_id, event_count, state, address, payment)
    SELECT NEW.id, NEW.event_count, NEW.state, NEW.address_json,
           (SELECT status FROM public.payments WHERE order_id = NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER recording AFTER INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION recording.note();
"""
_ROWS: Final = """
SELECT event_count, state, address, payment FROM recording.rows WHERE order_id = $1 ORDER BY id
"""
# Orders a second: more would make this machine's orders late.
_RATE: Final = 2.5
# A charge that hangs beyond the order's end, and its refund.
_PATIENCE: Final = 90.0

Act = Callable[[Orders, str], Awaitable[Any]]


async def _nothing(_orders: Orders, _order_id: str) -> None:
    pass


async def _approve(orders: Orders, order_id: str) -> None:
    await orders.until(order_id, "validated")
    await orders.review(order_id, approved=True)


async def _reject(orders: Orders, order_id: str) -> None:
    await orders.until(order_id, "validated")
    await orders.review(order_id, approved=False)


async def _cancel(orders: Orders, order_id: str) -> None:
    await orders.until(order_id, "validated")
    await orders.cancel(order_id, reason="changed my mind")


async def _cancel_paid(orders: Orders, order_id: str) -> None:
    await orders.until(order_id, "dispatch_failed")
    await orders.cancel(order_id, reason="found it cheaper")


async def _move(orders: Orders, order_id: str) -> None:
    await orders.until(order_id, "validated")
    await orders.move(order_id, ELSEWHERE)


async def _move_paid(orders: Orders, order_id: str) -> None:
    await orders.until(order_id, "dispatch_failed")
    await orders.move(order_id, ELSEWHERE)


async def _move_twice(orders: Orders, order_id: str) -> None:
    await _move(orders, order_id)
    await orders.move(order_id, ELSEWHERE | {"name": "Ann"})


async def _too_late(orders: Orders, order_id: str) -> None:
    await orders.until(order_id, "fulfilled")
    await orders.cancel(order_id)
    await orders.move(order_id, ELSEWHERE)
    await orders.review(order_id, approved=True)


async def _forget(orders: Orders, order_id: str) -> None:
    await _move(orders, order_id)
    await _complete(orders, order_id)
    await forget_order(orders.pool, order_id)


async def _forget_cancelled(orders: Orders, order_id: str) -> None:
    await _cancel_paid(orders, order_id)
    await _complete(orders, order_id)
    await forget_order(orders.pool, order_id)


@dataclass(frozen=True)
class Kind:
    """So many orders, with a fault and an act."""

    name: str
    count: int
    act: Act = _nothing
    faults: tuple[dict[str, Any], ...] = ()
    items: tuple[Json, ...] | None = None


_REFUSED_ONCE: Final = ({"at": "dispatch", "kind": "refuse", "times": 1},)
_TAKEN_UNSEEN: Final = (
    {"at": "dispatch", "kind": "hang_before", "seconds": 4},
    {"at": "lookup", "kind": "hang_before"},
)
_HANGS: Final = ({"at": "dispatch", "kind": "hang_before", "seconds": 11},)
_FLAKY: Final = "flaky"
_CONFLICT: Final = "conflict"
_KINDS: Final = (
    Kind("plain", 16),
    Kind("approved", 12, _approve),
    Kind("rejected", 10, _reject),
    Kind("invalid", 6, items=()),
    Kind("cancelled", 10, _cancel),
    Kind("cancelled-paid", 12, _cancel_paid, _REFUSED_ONCE),
    Kind("moved", 8, _move),
    Kind("moved-paid", 10, _move_paid, _REFUSED_ONCE),
    Kind("moved-twice", 6, _move_twice),
    Kind("too-late", 8, _too_late),
    Kind("declined", 10, faults=({"at": "charge", "kind": "refuse"},)),
    Kind("reply-lost", 8, faults=({"at": "charge", "kind": "reply_lost", "times": 1},)),
    Kind("charge-late", 6, faults=({"at": "charge", "kind": "hang_before", "seconds": 4},)),
    Kind("charge-too-late", 6, faults=({"at": "charge", "kind": "hang_before", "seconds": 13},)),
    Kind("refused-twice", 8, faults=({"at": "dispatch", "kind": "refuse", "times": 2},)),
    Kind("refused", 8, faults=({"at": "dispatch", "kind": "refuse"},)),
    Kind("carrier-hangs", 6, faults=_HANGS),
    Kind("carrier-silent", 6, faults=({"at": "dispatch", "kind": "hang_after", "times": 1},)),
    Kind("taken-unseen", 4, faults=_TAKEN_UNSEEN),
    # The carrier gets the package after the order's end, and does not give it back.
    Kind("delivered", 6, faults=(*_HANGS, {"at": "recall", "kind": "refuse"})),
    Kind("forgotten", 6, _forget),
    Kind("forgotten-paid", 4, _forget_cancelled, _REFUSED_ONCE),
    Kind(_CONFLICT, 4),
    Kind(_FLAKY, 20),
)


def _faults() -> Iterator[Fault]:
    for kind in _KINDS:
        # Also where the name of one kind begins another's.
        orders = f"{kind.name}-{'[0-9a-f]' * 8}"
        yield from (Fault(**fault, orders=orders) for fault in kind.faults)


async def _play(orders: Orders, client: Client, kind: Kind) -> tuple[Kind, str]:
    order_id = new_id(kind.name)
    if kind.name == _CONFLICT:
        # The API would refuse it.
        await client.start_workflow(
            ORDER_WORKFLOW,
            {"payment_id": "pay-first", "address": {"street": "1 First Street", "city": "Here"}},
            id=order_id,
            task_queue=ORDER_TASK_QUEUE,
        )
    else:
        await _place(orders, order_id, kind)
    # On a slow machine an order may have gone another way.
    with suppress(AssertionError):
        await kind.act(orders, order_id)
    await _complete(orders, order_id)
    return kind, order_id


async def _place(orders: Orders, order_id: str, kind: Kind) -> None:
    items: Json = {} if kind.items is None else {"items": kind.items}
    await eventually(lambda: orders.start(order_id, **items), lambda answer: answer.is_success)


async def _complete(orders: Orders, order_id: str) -> None:
    """Wait until the order's money is where it stays; an order that takes longer is one, too."""
    await poll(lambda: _is_complete(orders, order_id), seconds=_PATIENCE, pause=0.5)


async def _is_complete(orders: Orders, order_id: str) -> bool:
    query = """
        SELECT state = 'fulfilled' OR NOT EXISTS (
            SELECT FROM payments WHERE order_id = orders.id AND status IN ('pending', 'captured')
        ) FROM orders WHERE id = $1 AND state = ANY($2)
    """
    return bool(await orders.pool.fetchval(query, order_id, list(ENDS)))


async def _record(fleet: Fleet) -> list[Json]:
    client = await connect(CommonSettings(temporal_address=fleet.temporal_address))
    async with (
        clients(fleet) as http,
        open_pool(fleet.owner_database_url, size=8, wait_seconds=5) as pool,
    ):
        await pool.execute(_TRIGGER)
        orders = Orders(http, pool, fleet)
        await orders.start("first", payment_id="pay-first")
        # One of each kind after the other: those that hang never have all slots.
        turns = [
            kind
            for turn in range(max(k.count for k in _KINDS))
            for kind in _KINDS
            if turn < kind.count
        ]
        playing = []
        for kind in turns:
            playing.append(asyncio.create_task(_play(orders, client, kind)))
            await asyncio.sleep(1 / _RATE)
        played = await asyncio.gather(*playing)
        # What comes late: a package is recalled after the refund.
        await asyncio.sleep(15)
        return [
            {
                "kind": kind.name,
                "order": await orders.show(order_id),
                "rows": [list(row) for row in await pool.fetch(_ROWS, order_id)],
            }
            for kind, order_id in played
        ]


async def main() -> None:
    """Run the fleet, and write the file."""
    env = {
        "ORDERFLEET_FLAKY": f"{_FLAKY}-*",
        "ORDERFLEET_GATEWAY_FAULTS": msgspec.json.encode(list(_faults())).decode(),
        "ORDERFLEET_ADMISSION": "off",
    }
    with TemporaryDirectory() as data:
        options = FleetOptions(data=Path(data), env=env, ports=Ports.anywhere())
        async with run_fleet(options) as fleet:
            orders = await _record(fleet)
    lines = "".join(f"{json.dumps(order, separators=(',', ':'))}\n" for order in orders)
    # Without a time, so that equal orders are an equal file.
    RECORDING.write_bytes(gzip.compress(lines.encode(), mtime=0))
    events = sorted({type_ for order in orders for type_ in types(order["order"])})
    sys.stdout.write(f"{len(orders)} orders, {RECORDING.stat().st_size} bytes, {events}\n")


if __name__ == "__main__":
    run_until_signal(main())
