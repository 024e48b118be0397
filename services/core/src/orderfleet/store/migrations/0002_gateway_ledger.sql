-- The simulated gateways' own books, written by them only: what "really" happened outside.
CREATE SCHEMA gateway;

CREATE TABLE gateway.charges (
    key        text PRIMARY KEY,
    order_id   text NOT NULL,
    amount     numeric(16, 2) NOT NULL,
    currency   text NOT NULL,
    status     text NOT NULL CHECK (status IN ('captured', 'voided', 'refunded')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX charges_order_id ON gateway.charges (order_id);

CREATE TABLE gateway.shipments (
    key          text PRIMARY KEY,
    order_id     text NOT NULL,
    address_json jsonb NOT NULL,
    status       text NOT NULL CHECK (status IN ('taken', 'voided', 'recalled')),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX shipments_order_id ON gateway.shipments (order_id);

-- Calls that fault injection counts, so that "fails twice, then works" survives a restart.
CREATE TABLE gateway.calls (
    operation text NOT NULL,
    order_id  text NOT NULL,
    count     integer NOT NULL,
    PRIMARY KEY (operation, order_id)
);
