"""The routes of the feed: its events, as a stream or by page, and their AsyncAPI document."""

from collections.abc import Iterable
from typing import Any, Final

from litestar import Request, Response, get
from litestar.response import Stream

from orderfleet.domain.roles import Role
from orderfleet_api.auth import requires
from orderfleet_api.dependencies import InjectedFeed
from orderfleet_api.feed import asyncapi, sse
from orderfleet_api.feed.envelope import EventPage
from orderfleet_api.feed.listeners import EVERYTHING, Filter
from orderfleet_api.openapi import event_responses
from orderfleet_api.parameters import (
    FeedCursor,
    FeedLastEventId,
    FeedLimit,
    OrderFilter,
    StatesFilter,
    TenantFilter,
    TypeFilter,
)

_JSON: Final = "application/json"
_PAGE: Final = 100


@get(
    "/events",
    opt=requires(Role.READ),
    responses=event_responses(),
    media_type=sse.MEDIA_TYPE,
)
async def all_events(  # noqa: PLR0913 (each filter is a parameter)
    request: Request[Any, Any, Any],
    feed: InjectedFeed,
    *,
    after: FeedCursor = None,
    last_event_id: FeedLastEventId = None,
    limit: FeedLimit = None,
    # Errors leave out the `in_`.
    in_order_id: OrderFilter = None,
    in_state: StatesFilter = None,
    in_type: TypeFilter = None,
    in_tenant: TenantFilter = None,
) -> Stream | Response[EventPage]:
    """Return the events of all orders, each once, in one sequence, as they come or by page.

    With `limit`, or if only JSON is accepted, it is a page with the cursor to go on from; else
    server-sent events, from now on or after a cursor, each with its cursor as `id`. A parameter of
    the filter may be repeated: any of its values will do.
    """
    wanted = _filter(in_order_id, in_state, in_type, in_tenant)
    if limit is not None or _wants_page(request.headers.get("accept", "")):
        page = await feed.page(int(after or 0), limit or _PAGE, wanted)
        return Response(page, media_type=_JSON)
    # An EventSource that reconnects repeats its URL.
    cursor = last_event_id or after
    return await feed.open(None if cursor is None else int(cursor or 0), wanted)


@get("/docs/asyncapi.json", include_in_schema=False, sync_to_thread=False)
def asyncapi_document() -> Response[dict[str, Any]]:
    """Return the document of the streams."""
    return Response(asyncapi.document(), media_type=_JSON)


def _wants_page(accept: str) -> bool:
    return _JSON in accept and sse.MEDIA_TYPE not in accept and "*/*" not in accept


def _filter(
    order_ids: Iterable[str] | None,
    states: Iterable[Any] | None,
    types: Iterable[str] | None,
    tenants: Iterable[str] | None,
) -> Filter:
    sets = [frozenset(values or ()) for values in (order_ids, states, types, tenants)]
    return Filter(*sets) if any(sets) else EVERYTHING
