-- Orders, payments and the audit log. Times carry a zone; money is exact.
CREATE TABLE orders (
    id             text PRIMARY KEY,
    payment_id     text NOT NULL,
    amount         numeric(16, 2) NOT NULL,
    currency       text NOT NULL,
    fingerprint    text NOT NULL,
    state          text NOT NULL,
    address_json   jsonb NOT NULL,
    items_json     jsonb NOT NULL,
    -- Gapless event numbers: max(number) + 1 would read a stale snapshot after a lock wait.
    event_count    integer NOT NULL DEFAULT 0,
    -- The carrier's key of the dispatch that may be out, and which attempt holds the claim.
    dispatch_key   text,
    dispatch_claim text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_payment_id ON orders (payment_id);
CREATE INDEX orders_created_at ON orders (created_at DESC, id DESC);
CREATE INDEX orders_state_created_at ON orders (state, created_at DESC, id DESC);
-- SettleOrders asks for open orders every few seconds; few of many orders are open.
CREATE INDEX orders_open ON orders (created_at)
    WHERE state NOT IN ('fulfilled', 'cancelled', 'rejected', 'failed', 'timed_out');

CREATE TABLE payments (
    payment_id text PRIMARY KEY,
    order_id   text NOT NULL REFERENCES orders (id),
    status     text NOT NULL,
    amount     numeric(16, 2) NOT NULL,
    currency   text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_order_id ON payments (order_id);
CREATE INDEX payments_unsettled ON payments (created_at) WHERE status IN ('pending', 'captured');

CREATE TABLE events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id     text NOT NULL REFERENCES orders (id),
    number       integer NOT NULL,
    type         text NOT NULL,
    payload_json jsonb NOT NULL,
    -- Not now(): that is the transaction's start, and a statement may wait for the order's lock.
    ts           timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_key    text NOT NULL,
    UNIQUE (order_id, event_key),
    UNIQUE (order_id, number)
);
