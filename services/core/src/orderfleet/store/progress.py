"""How far orders have come: when they passed which step, for the API's admission."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from orderfleet.store.pool import Pool


class Passed(Struct, frozen=True):
    """An event of an order.

    Attributes:
        at: seconds since the epoch, by Postgres' clock.
        first_attempt: false if an attempt before this one had failed.
    """

    at: float
    first_attempt: bool


class Progress(Struct, frozen=True):
    """The events of an order by their type.

    Attributes:
        now: seconds since the epoch, by Postgres' clock, when they were read.
    """

    passed: dict[str, Passed]
    now: float


# One row an order. The attempt is compared as text: a payload that is no number fails no query.
_PROGRESS: Final = """
SELECT order_id,
       array_agg(type) AS types,
       array_agg(extract(epoch FROM ts)::float8) AS times,
       array_agg(coalesce(payload_json ->> 'attempt', '1') = '1') AS first_attempts,
       extract(epoch FROM clock_timestamp())::float8 AS now
FROM events WHERE order_id = ANY($1) GROUP BY order_id
"""


async def read_progress(pool: Pool, order_ids: Iterable[str]) -> dict[str, Progress]:
    """Return the progress of each of these orders that has a row.

    Raises:
        UNAVAILABLE: Postgres is unavailable.
    """
    rows = await pool.fetch(_PROGRESS, list(order_ids))
    return {
        row["order_id"]: Progress(
            {
                type_: Passed(at, first)
                for type_, at, first in zip(
                    row["types"], row["times"], row["first_attempts"], strict=True
                )
            },
            row["now"],
        )
        for row in rows
    }
