-- concurrently
-- Orders that have ended and are not forgotten, by their age. An order enters it once, at its end.
-- An index of an attempt that was interrupted is invalid.
DROP INDEX CONCURRENTLY IF EXISTS orders_unforgotten;
CREATE INDEX CONCURRENTLY orders_unforgotten ON orders (created_at, id)
    WHERE forgotten_at IS NULL
    AND state IN ('fulfilled', 'cancelled', 'rejected', 'failed', 'timed_out');
