"""The point of no return is a row's state: the claim `shipping -> dispatching` and its release."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from orderfleet.domain.events import dispatch_failed
from orderfleet.domain.orders import Address, OrderState
from orderfleet.store.pool import Pool
from orderfleet.store.transitions import retry_stale_snapshot

# $1 order id, $2 the carrier's key for a claim out of `shipping`, $3 this attempt's claim,
# $4 payload. A later attempt takes a claim over and keeps its key. An attempt that repeats its own
# claim, after a lost acknowledgement or an unavailable carrier, already holds it.
_CLAIM_DISPATCH: Final = """
WITH before AS (
    SELECT id, state, dispatch_key, dispatch_claim, address_json
    FROM orders WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE orders
    SET state = 'dispatching',
        dispatch_key = CASE WHEN before.state = 'shipping' THEN $2 ELSE before.dispatch_key END,
        dispatch_claim = $3, event_count = event_count + 1, updated_at = clock_timestamp()
    FROM before
    WHERE orders.id = before.id AND before.state IN ('shipping', 'dispatching')
      AND before.dispatch_claim IS DISTINCT FROM $3
    RETURNING orders.id, orders.event_count, orders.address_json, orders.dispatch_key
), noted AS (
    INSERT INTO events (order_id, number, type, payload_json, event_key)
    SELECT id, event_count, 'dispatching', $4, 'dispatching/' || $3 FROM moved
)
SELECT before.state,
       coalesce(moved.address_json, held.address_json) AS address_json,
       coalesce(moved.dispatch_key, held.dispatch_key) AS dispatch_key
FROM before
LEFT JOIN moved ON true
LEFT JOIN before AS held ON held.state = 'dispatching' AND held.dispatch_claim = $3
"""

# $1 order id, $2 the claim that must still be the latest, $3 event key, $4 payload. The event may
# exist already: a release repeated after a lost acknowledgement has a new claim for the same
# shipping attempt, and that claim must be released too.
_RELEASE_DISPATCH: Final = """
WITH event AS (
    SELECT WHERE NOT EXISTS (SELECT FROM events WHERE order_id = $1 AND event_key = $3)
), moved AS (
    UPDATE orders
    SET state = 'shipping', dispatch_key = NULL, dispatch_claim = NULL,
        event_count = event_count + (SELECT count(*) FROM event), updated_at = clock_timestamp()
    WHERE id = $1 AND state = 'dispatching' AND dispatch_claim = $2
    RETURNING id, event_count
), noted AS (
    INSERT INTO events (order_id, number, type, payload_json, event_key)
    SELECT id, event_count, 'dispatch_failed', $4, $3 FROM moved, event
)
SELECT EXISTS (SELECT FROM moved) AS moved, NOT EXISTS (SELECT FROM event) AS repeated
"""


class Claim(Struct, frozen=True):
    """A dispatch that an attempt has claimed.

    Attributes:
        key: the carrier's key to use.
        address: where the package goes; no change of address gets through a claim.
        taken_over: there was an earlier claim, of this attempt or another; its outcome is unknown.
    """

    key: str
    address: Address
    taken_over: bool


class ClaimRefused(Struct, frozen=True):
    """There is nothing to claim: the order is in this state."""

    state: OrderState


async def claim_dispatch(
    pool: Pool, order_id: str, key: str, claim: str, payload: dict[str, Any]
) -> Claim | ClaimRefused | None:
    """Claim the dispatch: from here on no cancel and no change of address gets through.

    Args:
        pool: the connections.
        order_id: the order.
        key: the carrier's key for a first claim; a claim that is taken over keeps its own.
        claim: the name of this attempt's claim.
        payload: the payload of the claim's event.

    Returns:
        None for an unknown order.
    """
    row = await pool.fetchrow(_CLAIM_DISPATCH, order_id, key, claim, payload)
    if row is None:
        return None
    before = OrderState(row["state"])
    if row["address_json"] is None:
        return ClaimRefused(before)
    return Claim(
        key=row["dispatch_key"],
        address=msgspec.convert(row["address_json"], Address),
        taken_over=before is OrderState.DISPATCHING,
    )


async def release_dispatch(
    pool: Pool, order_id: str, claim: str, attempt: int, reason: str
) -> bool:
    """Release the claim after a definite failure; a claim taken over since then stays."""
    event = dispatch_failed(attempt, reason)
    # Without it the log would not say whether the order is back in `shipping`: the same event of a
    # shipping attempt whose outcome is unknown leaves the order `dispatching`.
    payload = event.payload | {"released": True}
    row = await retry_stale_snapshot(pool, _RELEASE_DISPATCH, order_id, claim, event.key, payload)
    return row is not None and bool(row["moved"])


class Dispatch(Struct, frozen=True):
    """What to call back: the address, and the carrier's key if there was a dispatch."""

    key: str | None
    address: Address


async def dispatch_of(pool: Pool, order_id: str) -> Dispatch | None:
    """Return what to call back; None if the order is unknown or fulfilled."""
    row = await pool.fetchrow(
        "SELECT dispatch_key, address_json FROM orders WHERE id = $1 AND state <> 'fulfilled'",
        order_id,
    )
    if row is None:
        return None
    return Dispatch(row["dispatch_key"], msgspec.convert(row["address_json"], Address))
