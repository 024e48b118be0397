-- Wakes the readers of the feed after each commit that adds events, whoever has written them: an
-- older worker, `forget_order`, a person. A row trigger: a repeated step, which adds no row, wakes
-- nobody; several notifications of one transaction are one.
-- Commits that notify wait for each other, as Postgres holds a lock of the whole server from before
-- the flush to the end of the commit. So only one transaction at a time notifies, and another that
-- ends meanwhile does not wait for it: the readers look again after each notification.
-- No write waits longer than this for the trigger's lock; the migration is repeated.
SET LOCAL lock_timeout = '2s';

CREATE FUNCTION announce_event() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF pg_catalog.pg_try_advisory_xact_lock(1869767782, 6) THEN
        PERFORM pg_catalog.pg_notify('orderfleet_events', '');
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER announce_event AFTER INSERT ON events
FOR EACH ROW EXECUTE FUNCTION announce_event();
