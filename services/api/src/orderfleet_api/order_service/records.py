"""What Postgres has of an order."""

import msgspec

from orderfleet.store import queries
from orderfleet.store.queries import OrderRow
from orderfleet_api import errors
from orderfleet_api.backends import Backends, postgres
from orderfleet_api.schemas import OrderView


async def find_or_none(backends: Backends, order_id: str) -> OrderRow | None:
    """Return the order's row, None if there is none.

    Raises:
        ProblemDetailsException: Postgres is busy or unavailable.
    """
    async with backends.bulkheads.reads:
        with postgres():
            return await queries.find_order(backends.pool, order_id)


async def find(backends: Backends, order_id: str) -> OrderRow:
    """Return the order's row.

    Raises:
        ProblemDetailsException: there is none, or Postgres is busy or unavailable.
    """
    row = await find_or_none(backends, order_id)
    if row is None:
        raise errors.not_found(order_id)
    return row


async def show(backends: Backends, order_id: str) -> OrderView:
    """Return the order's row, payments and audit trail.

    Raises:
        ProblemDetailsException: there is none, or Postgres is busy or unavailable.
    """
    async with backends.bulkheads.reads:
        with postgres():
            record = await queries.find_record(backends.pool, order_id)
    if record is None:
        raise errors.not_found(order_id)
    values = msgspec.structs.asdict(record.order)
    del values["fingerprint"]
    return OrderView(**values, payments=record.payments, events=record.events)
