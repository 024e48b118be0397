-- Changes that were left for a worker as signals, until their order has an end: those that nobody
-- took up are refused then. No reference to orders: an accepted order may not have its row yet.
CREATE TABLE change_requests (
    order_id    text NOT NULL,
    event_key   text NOT NULL,
    kind        text NOT NULL,
    change_json jsonb NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, event_key)
);
