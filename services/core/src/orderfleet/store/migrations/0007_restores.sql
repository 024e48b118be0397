-- Restores from a backup: ReconcileOrders looks for what the backup lacks until `reconciled_at`.
CREATE TABLE restores (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- When the oldest of the restored databases was backed up.
    since         timestamptz NOT NULL,
    restored_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The first run of ReconcileOrders after it.
    begun_at      timestamptz,
    -- The payment gateway's charges are compared up to this cursor, or all of them.
    listed_until  text NOT NULL DEFAULT '',
    listed        boolean NOT NULL DEFAULT false,
    reconciled_at timestamptz
);

-- Called by the owner after each restore of the fleet's or of Temporal's database. The ids of lost
-- events are not used again: no cursor of the feed's readers is ahead of the events to come.
CREATE FUNCTION record_restore(backed_up_at timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    oldest timestamptz;
    restore_id bigint;
BEGIN
    -- The fleet's database and Temporal's may be restored one by one, to different times.
    SELECT least(min(since), backed_up_at) INTO oldest
    FROM public.restores WHERE reconciled_at IS NULL;
    UPDATE public.restores SET reconciled_at = clock_timestamp() WHERE reconciled_at IS NULL;
    PERFORM setval(
        pg_get_serial_sequence('public.events', 'id'),
        (SELECT coalesce(max(id), 0) + 1000000000 FROM public.events)
    );
    INSERT INTO public.restores (since) VALUES (oldest) RETURNING id INTO restore_id;
    RETURN restore_id;
END
$$;
REVOKE ALL ON FUNCTION record_restore(timestamptz) FROM PUBLIC;
