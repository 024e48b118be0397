"""What a collector is told of orders, and what the logs say beside it.

A fleet of its own, as the others run without a collector: its workers speak gRPC and HTTP to one
that takes both.
"""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from temporalio.client import Client

from orderfleet.domain.contract import ADDRESS_SIGNAL
from orderfleet.store.pool import open_pool
from orderfleet.temporal.converter import make_data_converter
from orderfleet_cli.local import SERVICES, FleetOptions, Ports, run_fleet
from tests.e2e.support import faults
from tests.e2e.support.apis import run_api
from tests.e2e.support.collector import collecting, tree
from tests.e2e.support.orders import ELSEWHERE, Orders, clients, new_id
from tests.e2e.support.traced import (
    BEGIN_CHARGE,
    HOME,
    KEY,
    ORDER,
    Traced,
    check_attributes,
    check_times,
    drawn,
    is_of,
    lines_of,
    within,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def traced(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    with collecting() as collector:
        options = FleetOptions(
            data=tmp_path_factory.mktemp("traced"),
            env={
                **faults.ENV,
                "LOG_LEVEL": "debug",
                "ORDERFLEET_API_KEYS": f"shop:{sha256(KEY.encode()).hexdigest()}",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.grpc_url,
                "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
                "OTEL_BSP_SCHEDULE_DELAY": "100",
            },
            ports=Ports.anywhere(),
        )
        async with run_fleet(options) as fleet:
            other = {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.http_url}/v1/traces",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
                "OTEL_SERVICE_NAME": "parcels",
            }
            await fleet.stop("shipping-worker")
            await fleet.start("shipping-worker", other)
            async with (
                clients(fleet) as http,
                open_pool(fleet.database_url, size=2, wait_seconds=5) as pool,
            ):
                http.headers["Authorization"] = f"Bearer {KEY}"
                yield Traced(Orders(http, pool, fleet), collector)


async def test_one_order_is_one_trace_in_the_callers(traced: Traced) -> None:
    order_id, trace_id, parent_id = await traced.start("reply-lost")
    await traced.orders.ended(order_id)
    spans = await traced.collector.trace_with(trace_id, "RunWorkflow:OrderWorkflow")
    assert tree(spans) == drawn(
        f"""
        POST /orders/{{order_id}}/start
          SELECT orders SELECT compared_servers
          StartWorkflow:OrderWorkflow
            RunWorkflow:OrderWorkflow
              StartActivity:receive
                RunActivity:receive
                  INSERT orders INSERT events SELECT orders
              StartActivity:validate
                RunActivity:validate
                  SELECT orders SELECT events UPDATE orders INSERT events
              StartActivity:charge
                RunActivity:charge !
                  {BEGIN_CHARGE}
                  INSERT gateway.calls
                  INSERT gateway.charges
                RunActivity:charge
                  {BEGIN_CHARGE}
                  INSERT gateway.calls
                  INSERT gateway.charges
                  SELECT orders UPDATE payments UPDATE orders INSERT events SELECT events
              StartChildWorkflow:ShippingWorkflow
                RunWorkflow:ShippingWorkflow
                  StartActivity:prepare
                    RunActivity:prepare
                      SELECT orders SELECT events UPDATE orders INSERT events
                  StartActivity:dispatch
                    RunActivity:dispatch
                      SELECT orders UPDATE orders INSERT events
                      INSERT gateway.shipments SELECT orders
                      SELECT orders SELECT events UPDATE orders INSERT events
          INSERT orders INSERT events SELECT orders
        """
    )
    assert spans[0].parent_id == parent_id
    check_times(spans)
    check_attributes(spans, order_id)
    failed, again = (span for span in spans if span.name == "RunActivity:charge")
    assert failed.attributes["temporal.attempt"] == 1
    assert failed.attributes["error.type"] == "GatewayUnknownError"
    assert again.attributes["temporal.attempt"] == 2
    assert "error.type" not in again.attributes
    # Real durations: the order took its 2 s of review, its steps did not.
    [order] = (span for span in spans if span.name == "RunWorkflow:OrderWorkflow")
    assert order.end - order.start > 2e9 > again.end - again.start > 0


async def test_a_cancel_has_the_callers_trace_with_a_link_and_the_refund_the_orders(
    traced: Traced,
) -> None:
    order_id, trace_id, _ = await traced.start("carrier-refuses")
    await traced.orders.until(order_id, "dispatch_failed")
    answer, cancelling = await traced.ask(f"/orders/{order_id}/signals/cancel", {"reason": "x"})
    assert answer.status_code == 200
    await traced.orders.completed(order_id)

    spans = await traced.collector.trace_with(
        trace_id, "RunWorkflow:RefundWorkflow", "RunWorkflow:OrderWorkflow"
    )
    whole = tree(spans)
    for part in (
        """
              StartChildWorkflow:RefundWorkflow
                RunWorkflow:RefundWorkflow
                  StartActivity:end
                    RunActivity:end
                      SELECT orders SELECT events UPDATE orders INSERT events
                      SELECT orders SELECT payments
        """,
        """
                  StartActivity:refund
                    RunActivity:refund
                      SELECT payments SELECT events SELECT orders
        """,
        """
                  StartActivity:dispatch
                    RunActivity:dispatch !
                      SELECT orders UPDATE orders INSERT events
                      SELECT events UPDATE orders INSERT events
                  SignalExternalWorkflow:DispatchFailed
                    HandleSignal:DispatchFailed
                      StartActivity:note
                        RunActivity:note
                          SELECT orders SELECT events UPDATE orders INSERT events
        """,
    ):
        assert within(part, whole), whole
    check_times(spans)
    check_attributes(spans, order_id)
    # What the order does itself stands in no need of a link.
    assert not any(span.links for span in spans)

    [started] = (span for span in spans if span.name == "StartWorkflow:OrderWorkflow")
    asked = await traced.collector.trace_with(
        cancelling, "HandleUpdate:cancel", "RunActivity:cancel"
    )
    assert tree(asked) == drawn(
        """
        POST /orders/{order_id}/signals/cancel
          StartWorkflowUpdate:cancel
            ValidateUpdate:cancel
            HandleUpdate:cancel
              StartActivity:cancel
                RunActivity:cancel
                  SELECT orders SELECT events UPDATE orders INSERT events
        """
    )
    check_attributes(asked, order_id)
    linked = {span.name: span.links for span in asked if span.links}
    link = ((trace_id, started.span_id),)
    assert linked == {"ValidateUpdate:cancel": link, "HandleUpdate:cancel": link}


async def test_a_change_left_as_a_signal_has_the_callers_trace_with_a_link(traced: Traced) -> None:
    order_id, trace_id, _ = await traced.start("plain")
    await traced.orders.until(order_id, "validated")
    worker = traced.orders.fleet.pid("order-worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        path = f"/orders/{order_id}/signals/update-address"
        answer, changing = await traced.ask(path, {"address": ELSEWHERE})
    finally:
        os.kill(worker, signal.SIGCONT)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "queued")
    await traced.orders.ended(order_id)
    spans = await traced.collector.trace_with(
        changing, "HandleSignal:UpdateAddress", "POST /orders/{order_id}/signals/update-address"
    )
    order = await traced.collector.trace_with(trace_id, "RunWorkflow:OrderWorkflow")
    ids = {span.name: span.span_id for span in [*order, *spans]}
    [heard] = (span for span in spans if span.name == "HandleSignal:UpdateAddress")
    assert heard.parent_id == ids["SignalWorkflow:UpdateAddress"]
    assert heard.links == ((trace_id, ids["StartWorkflow:OrderWorkflow"]),)


async def test_an_attempt_that_runs_out_of_time_is_marked(traced: Traced) -> None:
    order_id, trace_id, _ = await traced.start("charge-late")
    await traced.orders.completed(order_id)
    spans = await traced.collector.trace_with(trace_id, "RunWorkflow:OrderWorkflow")
    first = next(span for span in spans if span.name == "RunActivity:charge")
    assert (first.failed, first.attributes["error.type"]) == (True, "TimeoutError")


async def test_who_asks_for_no_trace_gets_none(traced: Traced) -> None:
    unsampled, _, _ = await traced.start("plain", flags="00")
    sampled, trace_id, _ = await traced.start("plain")
    await asyncio.gather(*(traced.orders.ended(one) for one in (unsampled, sampled)))
    await traced.collector.trace_with(trace_id, "RunWorkflow:OrderWorkflow")
    posts = [span for span in traced.collector.spans if span.attributes.get(ORDER) == unsampled]
    # What the test itself asked meanwhile, without a trace of its own, is all there is.
    assert {span.name for span in posts} <= {"GET /orders/{order_id}"}


async def test_a_sampler_and_a_name_are_taken_from_the_environment(
    traced: Traced, unused_tcp_port_factory: Callable[[], int]
) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": traced.collector.http_url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.5",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=front",
    }
    async with run_api(traced.orders, unused_tcp_port_factory, env) as (api, http):
        for trace_id in ("f" * 32, "0" * 31 + "1"):
            headers = {"traceparent": f"00-{trace_id}-{'1' * 16}-01"}
            assert (await http.get("/orders", headers=headers)).status_code == 200
        api.signal(signal.SIGTERM)
        assert await api.end() == 0
    # The end waits until all is sent.
    assert [one.service for one in traced.collector.of_trace("0" * 31 + "1")] == ["front"] * 2
    assert traced.collector.of_trace("f" * 32) == []


async def test_the_services_are_told_apart(traced: Traced) -> None:
    order_id, trace_id, _ = await traced.start("plain")
    await traced.orders.ended(order_id)
    spans = await traced.collector.trace_with(trace_id, "RunWorkflow:OrderWorkflow")
    assert {span.service for span in spans} == {
        "orderfleet-api",
        "orderfleet-order-worker",
        "parcels",
    }
    about = traced.collector.resources["orderfleet-api"]
    assert about["service.namespace"] == "orderfleet"
    assert about["deployment.environment.name"] == "test"


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_a_collector_that_hangs_holds_up_neither_a_request_nor_the_end(
    traced: Traced, unused_tcp_port_factory: Callable[[], int], protocol: str
) -> None:
    # It takes connections and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{hanging.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_BSP_SCHEDULE_DELAY": "10",
        }
        async with run_api(traced.orders, unused_tcp_port_factory, env) as (api, http):
            async with asyncio.timeout(10):
                for _ in range(20):
                    assert (await http.get("/orders")).status_code == 200
            api.signal(signal.SIGTERM)
            # 2 s for the flush; exporting by itself would take 10.
            assert await api.end(seconds=6) == 0


async def test_every_line_of_an_order_has_its_order_id_and_its_trace(traced: Traced) -> None:
    placed = [await traced.start(kind) for kind in ("reply-lost", "carrier-refuses", "flaky")]
    await asyncio.gather(*(traced.orders.completed(order_id) for order_id, _, _ in placed))
    for order_id, trace_id, _ in placed:
        # What the SDK tells of itself at `debug` is left out.
        lines = [
            line
            for line in lines_of(traced.orders)
            if order_id in json.dumps(line) and line["level"] != "debug"
        ]
        if not order_id.startswith("flaky"):
            assert lines
        for line in lines:
            assert (line.get("order_id"), line.get("trace_id")) == (order_id, trace_id), line
    [lost] = (
        line
        for line in lines_of(traced.orders)
        if line.get("trace_id") == placed[0][1] and "as failed" in line["event"]
    )
    failed = await traced.collector.one("RunActivity:charge", where=lambda span: is_of(span, lost))
    assert (failed.failed, failed.attributes["temporal.attempt"]) == (True, lost["attempt"])


async def test_no_address_and_no_secret_is_in_a_span_or_a_line(traced: Traced) -> None:
    """A full run; a payment's id may be in a line: it is the gateway's key and buys nothing."""
    orders, http = traced.orders, traced.orders.http
    kinds = ("plain", "reply-lost", "declined", "carrier-refuses", "flaky", "carrier-silent")
    placed = [(await traced.start(kind))[0] for kind in kinds]
    first = placed[0]
    assert (await orders.move(first, {**HOME, "street": "2 Canarystreet"})).status_code == 200
    assert (await orders.review(first, approved=True)).status_code == 200
    # Refused in every way.
    for path, body in (
        (f"/orders/{new_id('bad')}/start", {"payment_id": "p", "address": {**HOME, "zip": "1"}}),
        (f"/orders/{first}/start", {"payment_id": "canary-pay", "address": HOME}),
        (f"/orders/{new_id('bad')}/start", {"payment_id": f"pay-{first}", "address": HOME}),
        (f"/orders/{first}/signals/update-address", {"address": {"street": "Canarystreet"}}),
    ):
        assert (await http.post(path, json=body)).status_code in {400, 409, 422}
    wrong = {"Authorization": "Bearer canary-wrong"}
    assert (await http.get("/orders", headers=wrong)).status_code == 401
    temporal = await Client.connect(
        orders.fleet.temporal_address, data_converter=make_data_converter()
    )
    handle = temporal.get_workflow_handle(placed[3])
    await handle.signal(ADDRESS_SIGNAL, {"address": {**HOME, "city": ["Canarycity"]}})
    await asyncio.gather(*(orders.completed(one) for one in placed))
    # Too late.
    assert (await orders.move(first, HOME)).status_code == 409

    _, trace_id, _ = last = await traced.start("plain")
    await orders.ended(last[0])
    await traced.collector.trace_with(trace_id, "RunWorkflow:OrderWorkflow")
    raw = b"\n".join(traced.collector.raw).lower()
    for order_id in placed:
        assert order_id.encode() in raw
        assert f"pay-{order_id}".encode() not in raw
    logs = "\n".join(orders.fleet.log(name).read_text() for name in SERVICES).lower()
    assert placed[1] in logs
    password = urlsplit(orders.fleet.database_url).password
    assert password
    for secret in ("canary", password):
        assert secret.encode() not in raw
        assert secret not in logs
