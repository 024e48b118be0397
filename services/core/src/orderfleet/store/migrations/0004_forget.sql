-- Forgetting an order: what identifies a person goes; ids, money, states, numbers and times stay.
ALTER TABLE orders ADD COLUMN forgotten_at timestamptz;

-- Numbers, flags and ids of an event's payload stay; every other text becomes `***`. An actor is the
-- name of an API key, unless another client of Temporal has sent a text of its own. `by` is a
-- reviewer, unless it is a part of the fleet.
CREATE FUNCTION redacted_payload(payload jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(key, CASE
        WHEN jsonb_typeof(value) IN ('number', 'boolean', 'null') THEN value
        WHEN key = 'address' THEN '{"street": "***", "city": "***"}'
        WHEN jsonb_typeof(value) <> 'string' THEN '"***"'
        WHEN key IN ('tracking', 'change_id') THEN value
        WHEN key = 'actor' AND value #>> '{}' ~ '^[A-Za-z0-9._-]{1,64}$' THEN value
        WHEN key = 'by' AND value #>> '{}' IN ('timer', 'ReconcileOrders', 'SettleOrders') THEN value
        ELSE '"***"'
    END), '{}')
    FROM jsonb_each(payload)
$$;

-- The key of a change's event is its id, a space and its actor.
CREATE FUNCTION redacted_event_key(event_key text, number integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN event_key ~ '^[^ ]+( [A-Za-z0-9._-]{1,64})?$' THEN event_key
        ELSE split_part(event_key, ' ', 1) || ' *** ' || number
    END
$$;

-- The only way in which events are ever changed. It runs as the owner, and the fleet's role may
-- execute it: that role has no UPDATE on events. Returns `forgotten`, `repeated`, or why the order
-- cannot be forgotten: `unknown`, `open`, `owed` (its money is not back).
CREATE FUNCTION forget_order(of_order text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held public.orders;
BEGIN
    SELECT * INTO held FROM public.orders WHERE id = of_order FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    IF held.state NOT IN ('fulfilled', 'cancelled', 'rejected', 'failed', 'timed_out') THEN
        RETURN 'open';
    END IF;
    IF held.state <> 'fulfilled' AND EXISTS (
        SELECT FROM public.payments WHERE order_id = of_order AND status IN ('pending', 'captured')
    ) THEN
        RETURN 'owed';
    END IF;
    UPDATE public.events
    SET payload_json = public.redacted_payload(payload_json),
        event_key = public.redacted_event_key(event_key, number)
    WHERE order_id = of_order AND (
        payload_json <> public.redacted_payload(payload_json)
        OR event_key <> public.redacted_event_key(event_key, number)
    );
    UPDATE gateway.shipments SET address_json = '{"street": "***", "city": "***"}'
    WHERE order_id = of_order AND address_json <> '{"street": "***", "city": "***"}';
    DELETE FROM public.change_requests WHERE order_id = of_order;
    IF held.forgotten_at IS NOT NULL THEN
        RETURN 'repeated';
    END IF;
    INSERT INTO public.events (order_id, number, type, payload_json, event_key)
    VALUES (of_order, held.event_count + 1, 'forgotten', '{}', 'forgotten');
    UPDATE public.orders
    SET address_json = '{"street": "***", "city": "***"}', event_count = event_count + 1,
        forgotten_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = of_order;
    RETURN 'forgotten';
END
$$;
REVOKE ALL ON FUNCTION forget_order(text) FROM PUBLIC;
