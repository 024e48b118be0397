"""Orders of former days, as they lie in Postgres: fulfilled, with payment and events."""

from typing import Final

import asyncpg

# Made in one go by the database; no trigger checks a reference that is right by construction.
_ORDERS: Final = """
INSERT INTO orders (id, payment_id, amount, currency, fingerprint, state, address_json, items_json,
                    event_count, dispatch_key, dispatch_claim, created_at, updated_at)
SELECT 'old-' || n, 'pay-old-' || n, 20.00, 'USD', md5(n::text), 'fulfilled',
       '{"street": "1 Main St", "city": "Springfield"}',
       '[{"sku": "ABC", "quantity": 1, "price": "20.00"}]',
       8, 'old-' || n || '/1', '1.1', moment, moment + interval '2 seconds'
FROM (SELECT n, now() - interval '1 day' - n * interval '1 second' AS moment
      FROM generate_series($1::bigint, $2::bigint) AS n) AS old
"""
_PAYMENTS: Final = """
INSERT INTO payments (payment_id, order_id, status, amount, currency, created_at)
SELECT 'pay-old-' || n, 'old-' || n, 'captured', 20.00, 'USD',
       now() - interval '1 day' - n * interval '1 second'
FROM generate_series($1::bigint, $2::bigint) AS n
"""
_EVENTS: Final = """
INSERT INTO events (order_id, number, type, payload_json, event_key, ts)
SELECT 'old-' || n, number, type, '{"attempt": 1}', type,
       now() - interval '1 day' - n * interval '1 second' + number * interval '250 milliseconds'
FROM generate_series($1::bigint, $2::bigint) AS n,
     unnest(ARRAY['received', 'validated', 'reviewed', 'charging', 'charged', 'prepared',
                  'dispatching', 'fulfilled']) WITH ORDINALITY AS e (type, number)
"""
_STEP: Final = 50_000


async def add_old_orders(owner: "asyncpg.Connection[asyncpg.Record]", total: int) -> None:
    """Bring the number of old orders up to `total`; the owner is a superuser."""
    there = await owner.fetchval("SELECT count(*) FROM orders WHERE starts_with(id, 'old-')")
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        for first in range(there + 1, total + 1, _STEP):
            last = min(first + _STEP - 1, total)
            for statement in (_ORDERS, _PAYMENTS, _EVENTS):
                await owner.execute(statement, first, last)
    await owner.execute("VACUUM (ANALYZE) orders, payments, events")
