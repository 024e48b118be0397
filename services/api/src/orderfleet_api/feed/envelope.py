"""An event as the feed shows it, in the terms of CloudEvents 1.0."""

from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from orderfleet.store.feed import FeedEvent
from orderfleet_api.feed.sse import message

SOURCE: Final = "/orders"


class EventData(Struct, frozen=True):
    """The event, and what it says of its order."""

    order_id: str
    sequence: Annotated[int, Meta(description="The event's number in its order, without gaps.")]
    state: Annotated[OrderState, Meta(description="The order's state after the event.")]
    tenant: Annotated[
        str | None,
        Meta(description="Name of the API key that placed the order; null without keys."),
    ]
    payload: dict[str, Any]


class Envelope(Struct, frozen=True):
    """A CloudEvent."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(description="Of the event, always the same: order id and sequence.")]
    source: Annotated[str, Meta(description="`/orders`.")]
    type: Annotated[EventType, Meta(description="A newer release may add types.")]
    subject: Annotated[str, Meta(description="The order's id.")]
    time: datetime
    data: EventData


class EventPage(Struct, frozen=True):
    """A page of the feed, and where to go on: also if the page is empty."""

    events: list[Envelope]
    cursor: str


def envelope(event: FeedEvent) -> Envelope:
    """Return an event's envelope."""
    return Envelope(
        specversion="1.0",
        id=f"{event.order_id}/{event.number}",
        source=SOURCE,
        type=event.type,
        subject=event.order_id,
        time=event.ts,
        data=EventData(event.order_id, event.number, event.state, event.tenant, event.payload),
    )


class Published:
    """An event that is handed to streams: it is encoded once for all of them, if at all."""

    def __init__(self, event: FeedEvent) -> None:
        self.event = event

    @cached_property
    def message(self) -> bytes:
        """The event as a server-sent event; its id is the cursor."""
        data = msgspec.json.encode(envelope(self.event))
        return message(self.event.id, self.event.type, data)
