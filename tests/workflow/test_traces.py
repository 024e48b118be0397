"""Spans of workflows that are replayed all the time: each one once, and in its place."""

from collections import Counter

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, StatusCode, get_tracer
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from orderfleet.domain.contract import (
    ADDRESS_SIGNAL,
    ADDRESS_UPDATE,
    CARRIER_REFUSED,
    ORDER_TASK_QUEUE,
    ORDER_WORKFLOW,
    STATUS_QUERY,
    AddressChange,
    Status,
)
from orderfleet.domain.orders import Address, OrderState
from orderfleet.observability.otel import provider
from orderfleet.temporal.converter import make_data_converter
from tests.support.spans import exported
from tests.support.trace_headers import WithHeader
from tests.workflow.actions import during, fail
from tests.workflow.fleet import running_fleet

OTHER = Address(street="2 Other Street", city="Springfield")
JSON = {"encoding": b"json/plain"}
ODD_HEADERS = {
    "no encoding": Payload(),
    "unknown encoding": Payload(metadata={"encoding": b"odd"}, data=b"{}"),
    "no JSON": Payload(metadata=JSON, data=b"\xff"),
    "no object": Payload(metadata=JSON, data=b"5"),
    "no text": Payload(metadata=JSON, data=b'{"traceparent": 5}'),
    "no trace": Payload(metadata=JSON, data=b'{"traceparent": "odd"}'),
}


async def test_a_worker_that_forgets_everything_exports_each_span_once() -> None:
    exporter = exported()
    exporter.clear()
    async with running_fleet(cached_workflows=0, telemetry=provider.plugins()) as fleet:
        case = fleet.order()
        case.script("validate", during(lambda: case.send_address("2 Other Street")))
        case.script("charge", fail("boom"))
        case.script("carrier", fail("strike", CARRIER_REFUSED, permanent=True))
        with get_tracer(__name__).start_as_current_span("request") as request:
            await case.start()
        end = await case.end()
        assert end.result.state is OrderState.FULFILLED
    found = exporter.get_finished_spans()
    trace_id = request.get_span_context().trace_id
    ours = [span for span in found if _context(span).trace_id == trace_id]
    assert set(Counter(_context(span).span_id for span in found).values()) == {1}
    assert Counter(span.name for span in ours) == Counter(
        {
            "request": 1,
            "StartWorkflow:OrderWorkflow": 1,
            "RunWorkflow:OrderWorkflow": 1,
            "StartActivity:receive": 1,
            "RunActivity:receive": 1,
            "StartActivity:validate": 1,
            "RunActivity:validate": 1,
            "SignalWorkflow:UpdateAddress": 1,
            "HandleSignal:UpdateAddress": 1,
            "StartActivity:change_address": 1,
            "RunActivity:change_address": 1,
            "StartActivity:charge": 1,
            "RunActivity:charge": 2,
            "StartChildWorkflow:ShippingWorkflow": 2,
            "RunWorkflow:ShippingWorkflow": 2,
            "StartActivity:prepare": 2,
            "RunActivity:prepare": 2,
            "StartActivity:dispatch": 2,
            "RunActivity:dispatch": 2,
            "SignalExternalWorkflow:DispatchFailed": 1,
        }
    )
    # The test server loses the headers of a signal from workflow to workflow; the link remains.
    [heard] = [span for span in found if span.name == "HandleSignal:DispatchFailed"]
    assert heard.parent is None
    assert [link.context.trace_id for link in heard.links] == [trace_id]
    ids = {_context(span).span_id for span in ours}
    assert [span.name for span in ours if span.parent is None] == ["request"]
    assert all(span.parent.span_id in ids for span in ours if span.parent is not None)
    failed = Counter(span.name for span in ours if span.status.status_code is StatusCode.ERROR)
    assert failed == Counter(
        ["RunActivity:charge", "RunActivity:dispatch", "RunWorkflow:ShippingWorkflow"]
    )


def _context(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.context
    assert context is not None
    return context


@pytest.mark.parametrize("header", ODD_HEADERS.values(), ids=ODD_HEADERS)
async def test_a_trace_that_cannot_be_read_harms_no_order(header: Payload) -> None:
    exported().clear()
    async with running_fleet(telemetry=provider.plugins()) as fleet:
        case = fleet.order(review=5)
        other = Client(
            fleet.client.service_client,
            data_converter=make_data_converter(),
            interceptors=[WithHeader(header)],
        )
        handle = await other.start_workflow(
            ORDER_WORKFLOW, case.order, id=case.id, task_queue=ORDER_TASK_QUEUE
        )
        await handle.signal(ADDRESS_SIGNAL, AddressChange(OTHER))
        await handle.execute_update(ADDRESS_UPDATE, AddressChange(OTHER, change_id="2"))
        status: Status = await handle.query(STATUS_QUERY, result_type=Status)
        assert status.address == OTHER
        end = await case.end()
        assert end.result.state is OrderState.FULFILLED
        history = await case.handle.fetch_history()
        kinds = {event.event_type for event in history.events}
        assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in kinds
