"""The queries of the API and the command line."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import asyncpg
from msgspec import Meta, Struct

from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store.pool import Pool


class OrderRow(Struct, frozen=True):
    """An order's row."""

    id: str
    payment_id: str
    amount: str
    currency: str
    fingerprint: str
    state: OrderState
    address: dict[str, Any]
    items: list[dict[str, Any]]
    created_at: datetime
    updated_at: datetime


class OrderSummary(Struct, frozen=True):
    """An order in a listing."""

    id: str
    payment_id: str
    amount: str
    currency: str
    state: OrderState
    created_at: datetime
    updated_at: datetime


class PaymentRow(Struct, frozen=True):
    """A payment's row."""

    payment_id: str
    status: PaymentStatus
    amount: str
    currency: str
    created_at: datetime


class EventRow(Struct, frozen=True):
    """One line of the audit log."""

    number: int
    type: Annotated[EventType, Meta(description="A newer release may add types.")]
    payload: dict[str, Any]
    ts: datetime


class OrderRecord(Struct, frozen=True):
    """All rows of an order, from one snapshot."""

    order: OrderRow
    payments: list[PaymentRow]
    events: list[EventRow]


# Fields whose column has another name or type.
_COLUMNS: Final = {
    "amount": "amount::text",
    "address": "address_json",
    "items": "items_json",
    "payload": "payload_json",
}


def _columns(row: type[Struct]) -> str:
    """Return the columns of a row's fields, in their order."""
    return ", ".join(_COLUMNS.get(field, field) for field in row.__struct_fields__)


# No text from outside is in them, only the names of fields.
_FIND: Final = f"SELECT {_columns(OrderRow)} FROM orders WHERE id = $1"  # noqa: S608
_LIST: Final = f"SELECT {_columns(OrderSummary)} FROM orders WHERE (created_at, id) < ($1, $2)"  # noqa: S608
_RECORD: Final = f"""
SELECT {_columns(OrderRow)},
       ARRAY(
           SELECT ROW({_columns(PaymentRow)})
           FROM payments WHERE order_id = $1 ORDER BY created_at
       ),
       ARRAY(
           SELECT ROW({_columns(EventRow)})
           FROM events WHERE order_id = $1 AND number > $2 ORDER BY number
       )
FROM orders WHERE id = $1
"""  # noqa: S608
_MARKS: Final = """
SELECT id, concat_ws(
    ' ', state,
    (SELECT max(number) FROM events WHERE order_id = orders.id),
    (SELECT string_agg(status, ' ' ORDER BY payment_id) FROM payments WHERE order_id = orders.id)
)
FROM orders WHERE id = ANY($1)
"""


async def find_order(pool: Pool, order_id: str) -> OrderRow | None:
    """Return the order's row, or None."""
    row = await pool.fetchrow(_FIND, order_id)
    return None if row is None else _order(row)


async def find_record(pool: Pool, order_id: str, *, after: int = 0) -> OrderRecord | None:
    """Return the order with its payments, and its audit log from event number `after` + 1 on.

    One statement: one snapshot, one round trip.
    """
    row = await pool.fetchrow(_RECORD, order_id, after)
    if row is None:
        return None
    *order, payments, events = row
    return OrderRecord(_order(order), _payments(payments), _events(events))


async def marks(pool: Pool, order_ids: Iterable[str]) -> dict[str, str]:
    """Return for each existing order a text that changes with its state, payments and events."""
    rows = await pool.fetch(_MARKS, list(order_ids))
    return {row[0]: row[1] for row in rows}


async def list_orders(
    pool: Pool, *, state: OrderState | None, before: tuple[datetime, str] | None, limit: int
) -> list[OrderSummary]:
    """Return the newest orders, or the next ones after `before`.

    Keyset pagination: every page costs the same, and new orders shift no page.
    """
    created_at, order_id = before or (datetime.max.replace(tzinfo=UTC), "")
    order_by = " ORDER BY created_at DESC, id DESC LIMIT $3"
    if state is None:
        rows = await pool.fetch(_LIST + order_by, created_at, order_id, limit)
    else:
        statement = _LIST + " AND state = $4" + order_by
        rows = await pool.fetch(statement, created_at, order_id, limit, state)
    return [_summary(row) for row in rows]


class ExistingOrder(Struct, frozen=True):
    """The row of an order to be accepted, if there is one, and the order that its payment pays.

    `server` is the start of a server of Postgres that may have lost orders, see `compared_servers`.
    """

    fingerprint: str | None
    state: OrderState | None
    payer: str | None
    server: datetime | None = None

    @property
    def may_be_lost(self) -> bool:
        """Whether the order, or another one with its payment id, may have had a row."""
        return self.server is not None and self.state is None and self.payer is None


_EXISTING: Final = """
SELECT orders.fingerprint, orders.state, (
    SELECT id FROM orders WHERE payment_id = $2 ORDER BY created_at, id LIMIT 1
) AS payer, current_setting('transaction_read_only') = 'on' AS read_only, (
    SELECT started_at FROM (VALUES (pg_postmaster_start_time())) AS server (started_at)
    WHERE NOT EXISTS (SELECT FROM compared_servers WHERE started_at = server.started_at)
) AS server
FROM (VALUES ($1)) AS given (id) LEFT JOIN orders USING (id)
"""


async def find_existing(pool: Pool, order_id: str, payment_id: str) -> ExistingOrder:
    """Return what exists of an order, and the first order that came with its payment id.

    Raises:
        UNAVAILABLE: Postgres is away, or would not take an order that it does not know.
    """
    row = await pool.fetchrow(_EXISTING, order_id, payment_id)
    if row is None:
        raise LookupError("a row was asked for one of which there always is one")
    state = None if row["state"] is None else OrderState(row["state"])
    if state is None and row["read_only"]:
        raise asyncpg.ReadOnlySQLTransactionError("it takes no writes")
    return ExistingOrder(row["fingerprint"], state, row["payer"], row["server"])


def _order(row: Iterable[Any]) -> OrderRow:
    id_, payment_id, amount, currency, fingerprint, state, *rest = row
    return OrderRow(id_, payment_id, amount, currency, fingerprint, OrderState(state), *rest)


def _summary(row: Iterable[Any]) -> OrderSummary:
    id_, payment_id, amount, currency, state, *times = row
    return OrderSummary(id_, payment_id, amount, currency, OrderState(state), *times)


def _payments(rows: Iterable[Iterable[Any]]) -> list[PaymentRow]:
    return [PaymentRow(id_, PaymentStatus(status), *end) for id_, status, *end in rows]


def _events(rows: Iterable[Iterable[Any]]) -> list[EventRow]:
    return [EventRow(number, EventType(type_), *rest) for number, type_, *rest in rows]
