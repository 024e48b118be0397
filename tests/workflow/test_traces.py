"""Spans of workflows that are replayed all the time: each one once, and in its place."""

from collections import Counter

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, StatusCode, get_tracer

from orderfleet.messages import CARRIER_REFUSED
from orderfleet.orders import OrderState
from orderfleet.telemetry import spans
from tests.spans import exported
from tests.workflow.actions import during, fail
from tests.workflow.fleet import running_fleet


async def test_a_worker_that_forgets_everything_exports_each_span_once() -> None:
    exporter = exported()
    exporter.clear()
    async with running_fleet(cached_workflows=0, plugins=spans.plugins()) as fleet:
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
