"""What Temporal says of an order in its UI: read back from a real server, and no canary in it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import UserMetadata, WorkflowMetadata
from temporalio.client import WorkflowHandle

from orderfleet.domain.contract import Review, refund_id, shipping_id
from orderfleet.domain.orders import Address, Item, Order, OrderState
from orderfleet.gateways.simulated import Fault
from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
from orderfleet.temporal.payload_keys import make_key
from orderfleet_api import order_service
from tests.integration.support.fleet import Fleet, new_id

CANARY = "canary"
FAULTS = (
    Fault("charge", "fail_before", orders="refused-*", times=1),
    Fault("dispatch", "refuse", orders="refused-*", times=1),
    Fault("charge", "refuse", orders="declined-*"),
)


def canary_order(order_id: str) -> Order:
    address = Address(f"{CANARY}-street", f"{CANARY}-city", name=f"{CANARY}-name")
    items = [Item(f"{CANARY}-sku", 2, "10.10"), Item(f"{CANARY}-other", 1, "21.00")]
    return Order(payment_id=f"pay-{order_id}", address=address, items=items)


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
async def told(request: pytest.FixtureRequest, fleet: Fleet, tmp_path: Path) -> Fleet:
    if not request.param:
        return fleet
    path = tmp_path / "keys"
    path.write_text(f"{make_key()}\n")
    settings = CommonSettings(temporal_address=fleet.address, payload_keys_file=str(path))
    return replace(fleet, temporal=await connect(settings))


async def _place(fleet: Fleet, order_id: str) -> OrderState:
    backends = fleet.backends(review_seconds=50.0)
    await order_service.accept(backends, order_id, canary_order(order_id))
    await fleet.reached(order_id, OrderState.IN_REVIEW)
    address = Address(f"{CANARY}-new", f"{CANARY}-city")
    await order_service.update_address(backends, order_id, "change", address)
    decision = Review(approved=True, reviewer=f"{CANARY}-ann", reason=f"{CANARY}-reason")
    await order_service.review(backends, order_id, "review", decision)
    return (await fleet.result(order_id)).state


async def _static(fleet: Fleet, workflow_id: str) -> tuple[str | None, str | None]:
    description = await fleet.workflow(workflow_id).describe()
    return await description.static_summary(), await description.static_details()


async def _current(handle: WorkflowHandle[object, object]) -> str:
    metadata: WorkflowMetadata = await handle.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return str(metadata.current_details)


async def _summaries(fleet: Fleet, workflow_id: str) -> list[tuple[str, str]]:
    """Return what began with a summary: its name and the summary."""
    history = await fleet.workflow(workflow_id).fetch_history()
    stored = [
        (_name(event), event.user_metadata) for event in history.events[1:] if _has_summary(event)
    ]
    decode = fleet.temporal.data_converter.decode
    return [(name, (await decode([metadata.summary], [str]))[0]) for name, metadata in stored]


def _has_summary(event: HistoryEvent) -> bool:
    # A timer that is cancelled has its summary again.
    cancelled = event.event_type == EventType.EVENT_TYPE_TIMER_CANCELED
    return event.user_metadata.HasField("summary") and not cancelled


def _name(event: HistoryEvent) -> str:
    match event.event_type:
        case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            return event.activity_task_scheduled_event_attributes.activity_type.name
        case EventType.EVENT_TYPE_TIMER_STARTED:
            return "timer"
        case _:
            return EventType.Name(event.event_type)


def _encodings(metadata: UserMetadata) -> Iterator[bytes]:
    for name in ("summary", "details"):
        if metadata.HasField(name):
            yield getattr(metadata, name).metadata["encoding"]


async def test_temporals_ui_tells_an_order(told: Fleet) -> None:
    refused, declined = new_id("refused"), new_id("declined")
    async with told.working(FAULTS):
        assert await _place(told, refused) is OrderState.FULFILLED
        assert await _place(told, declined) is OrderState.FAILED
        await told.temporal.get_workflow_handle(refund_id(declined)).result()
        current = {
            order_id: await _current(told.workflow(order_id)) for order_id in (refused, declined)
        }
    summary, details = await _static(told, refused)
    assert summary == "3 items, 41.20 USD"
    assert details == (
        f"- payment: `pay-{refused}`\n- time from start to end: 60 s\n- review: up to 50 s"
    )
    assert await _summaries(told, refused) == [
        ("timer", "time for a review"),
        ("charge", "41.20 USD"),
        ("timer", "time left to ship"),
        ("EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED", "shipping attempt 1 of 3"),
        ("note", "event: dispatch_failed"),
        ("timer", "pause before shipping attempt 2 of 3"),
        ("timer", "time left to ship"),
        ("EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED", "shipping attempt 2 of 3"),
    ]
    assert (await _static(told, shipping_id(refused, 2)))[0] == "shipping attempt 2 of 3"
    assert await _summaries(told, shipping_id(refused, 2)) == [
        ("dispatch", "shipping attempt 2 of 3")
    ]
    assert (await _static(told, refund_id(declined)))[0] == "undoes an order that ended: failed"
    assert await _summaries(told, refund_id(declined)) == [
        ("end", "end: failed"),
        ("trace", "charges and packages in Temporal's histories"),
        ("refund", "the payment"),
    ]
    assert current[refused].splitlines() == [
        "- state: **fulfilled**",
        "- attempts: receive 1, validate 1, charge 2 (1 failed), prepare 2, dispatch 2 (1 failed)",
        "- shipping attempts: 2",
    ]
    assert current[declined].startswith("- state: **failed**\n- attempts: receive 1,")
    told_of = [*current.values(), summary, details]
    for order_id in (refused, declined):
        told_of += [text for _, text in await _summaries(told, order_id)]
    assert CANARY not in str(told_of)


async def test_what_it_tells_is_stored_as_the_payloads_are(told: Fleet) -> None:
    order_id = new_id("order")
    async with told.working():
        assert await _place(told, order_id) is OrderState.FULFILLED
    began, stored = [], []
    for workflow_id in (order_id, shipping_id(order_id, 1)):
        events = (await told.workflow(workflow_id).fetch_history()).events
        [payload] = events[0].workflow_execution_started_event_attributes.input.payloads
        began.append(payload.metadata["encoding"])
        stored += [encoding for event in events for encoding in _encodings(event.user_metadata)]
    assert len(stored) == 10
    assert set(stored) == set(began)
