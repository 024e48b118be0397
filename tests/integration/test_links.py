"""Links of an order: to its workflow in Temporal's UI and to its trace."""

from http import HTTPStatus
from uuid import uuid4

import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from orderfleet.domain.contract import ORDER_WORKFLOW, OrderInput
from orderfleet.store.transitions import receive
from orderfleet_api import order_service
from orderfleet_api.schemas import OrderLinks
from tests.integration.support.fleet import HOME, Fleet, an_order, new_id
from tests.support.trace_headers import WithHeader

_SETTINGS = {
    "temporal_ui_url": "https://temporal.example.com/ui/",
    "trace_url": "https://traces.example.com/trace/{trace_id}?uiEmbed=v0",
}


async def _start(fleet: Fleet, header: bytes) -> tuple[str, str]:
    """Start an order in a trace, without a worker; return its id and the run's."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=header)
    client = Client(
        fleet.temporal.service_client,
        data_converter=fleet.temporal.data_converter,
        interceptors=[WithHeader(payload)],
    )
    order_id = new_id()
    handle = await client.start_workflow(
        ORDER_WORKFLOW,
        OrderInput(payment_id=f"pay-{order_id}", address=HOME),
        id=order_id,
        task_queue=f"orders-{fleet.suffix}",
    )
    return order_id, handle.first_execution_run_id or ""


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False)])
async def test_an_order_links_to_its_run_and_to_its_trace_if_that_is_sampled(
    fleet: Fleet, flags: str, sampled: bool
) -> None:
    trace_id = uuid4().hex
    parent = f'{{"traceparent": "00-{trace_id}-00f067aa0ba902b7-{flags}"}}'
    order_id, run_id = await _start(fleet, parent.encode())
    links = await order_service.links(fleet.backends(**_SETTINGS), order_id)
    workflow = f"https://temporal.example.com/ui/namespaces/default/workflows/{order_id}"
    assert links.temporal_ui == f"{workflow}/{run_id}/history"
    trace = f"https://traces.example.com/trace/{trace_id}?uiEmbed=v0"
    assert links.trace == (trace if sampled else None)
    # Nothing is set by default, and then nothing links.
    assert await order_service.links(fleet.backends(), order_id) == OrderLinks()


async def test_a_header_that_is_no_trace_is_no_link(fleet: Fleet) -> None:
    for header in (b"{}", b'{"traceparent": "odd"}', b"\xff"):
        order_id, _ = await _start(fleet, header)
        links = await order_service.links(fleet.backends(**_SETTINGS), order_id)
        assert links.temporal_ui is not None
        assert links.trace is None


async def test_an_order_without_a_workflow_has_no_links_and_an_unknown_one_is_404(
    fleet: Fleet,
) -> None:
    backends = fleet.backends(**_SETTINGS)
    order_id = new_id()
    with pytest.raises(ProblemDetailsException) as raised:
        await order_service.links(backends, order_id)
    assert raised.value.status_code == HTTPStatus.NOT_FOUND
    # As forgetting leaves it.
    await receive(fleet.pool, order_id, an_order(f"pay-{order_id}"), {})
    assert await order_service.links(backends, order_id) == OrderLinks()
