"""Metrics, dashboards, alerts and traces of a release of the module's own.

Its own, as the alerts look back an hour: what other tests do to the shared release would fire them.
PROMETHEUS is the cluster's Prometheus, which scrapes annotated pods. JAEGER is the cluster's
Jaeger; without it the spans go to a collector of the test's own. The PrometheusRule and the
PodMonitor need the operator's CRDs, which a plain cluster lacks: tests/monitoring renders them and
has promtool test the alerts. These tests evaluate the same expressions on the metrics of real pods.
"""

import asyncio
import json
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Final

import httpx
import pytest

from tests.cluster.support import images
from tests.cluster.support.cluster import Cluster, Namespace
from tests.cluster.support.collectors import Collecting
from tests.cluster.support.commands import run
from tests.cluster.support.jaeger import Jaeger
from tests.cluster.support.prometheus import address
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.shop import Shop, balanced, eventually
from tests.cluster.support.steps import Steps
from tests.e2e.support import faults
from tests.e2e.support.collector import Span, tree
from tests.e2e.support.orders import HOME, Json, new_id
from tests.e2e.support.traced import BEGIN_CHARGE, drawn
from tests.monitoring.support import mishaps, promql
from tests.monitoring.support.panels import dashboards, panels, shown
from tests.monitoring.support.prometheus import Prometheus
from tests.monitoring.support.rules import OF_THE_CLUSTER, rules
from tests.support.runbooks import Command, Place, commands

pytestmark = pytest.mark.timeout(1800)

_SCRAPED: Final = {"api": 2, "order-worker": 2, "shipping-worker": 2, "temporal": 1}
# Pods that went away are found to be gone, and those that came are scraped.
_SCRAPED_SECONDS: Final = 60.0
_QUERIES_SECONDS: Final = 60.0
# Shorter than any `for` of an alert: what is over by then does not fire.
_OVER_SECONDS: Final = 10.0
_TRACE_SECONDS: Final = 30.0
# Fires because of what `mishaps` does here, and what would need more than that to have data at all.
_FIRES: Final = {"WorkflowTaskFailures"}
_NEEDS_MORE: Final = {"ApiErrors", "WorkflowNonDeterminism"}
_KINDS: Final = ("plain", "carrier-refuses", "reply-lost", "declined", "plain")

# The trace of an order that nothing disturbs; behind `@` whose span it is, where that changes.
_TREE: Final = f"""
    POST /orders/{{order_id}}/start @api
      SELECT orders SELECT compared_servers
      StartWorkflow:OrderWorkflow
        RunWorkflow:OrderWorkflow @order-worker
          StartActivity:receive
            RunActivity:receive
              INSERT orders INSERT events SELECT orders
          StartActivity:validate
            RunActivity:validate
              SELECT orders SELECT events UPDATE orders INSERT events
          StartActivity:charge
            RunActivity:charge
              {BEGIN_CHARGE}
              INSERT gateway.charges
              SELECT orders UPDATE payments UPDATE orders INSERT events SELECT events
          StartChildWorkflow:ShippingWorkflow
            RunWorkflow:ShippingWorkflow @shipping-worker
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


@pytest.fixture(scope="module")
def collecting(cluster: Cluster, new_namespace: Callable[[str], Namespace]) -> Collecting | Jaeger:
    if where := os.environ.get("JAEGER"):
        queries = address(where)
        assert queries, f"JAEGER={where} is not namespace/service:port"
        return Jaeger(cluster, queries)
    collecting = Collecting(new_namespace("collector"))
    collecting.start(images.OLD)
    return collecting


@pytest.fixture(scope="module")
def monitored(own_namespace: Namespace, collecting: Collecting | Jaeger, steps: Steps) -> Release:
    """Install with dashboards and traces, and gateways that fail for the kinds of `faults`."""
    installed = Release(own_namespace)
    name = "ORDERFLEET_GATEWAY_FAULTS"
    env = [{"name": name, "value": faults.ENV[name]}]
    with steps.step("helm install with dashboards, traces and faults of the gateways"):
        installed.install(
            {
                **images.values(images.OLD),
                "dashboards.enabled": "true",
                "traces.endpoint": collecting.url,
                "traces.protocol": "http/protobuf",
                "orderWorker.extraEnv": env,
                "shippingWorker.extraEnv": env,
            }
        )
    return installed


@asynccontextmanager
async def _prometheus_url(release: Release) -> AsyncIterator[str]:
    where = os.environ.get("PROMETHEUS")
    if not where:
        pytest.skip("PROMETHEUS=namespace/service:port is not set: no metric is scraped")
    found = address(where)
    assert found, f"PROMETHEUS={where} is not namespace/service:port"
    namespace = Namespace(release.namespace.cluster, found.namespace)
    async with namespace.forwarded(f"service/{found.service}", found.port) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def _prometheus(release: Release) -> AsyncIterator[Prometheus]:
    async with (
        _prometheus_url(release) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
    ):
        yield Prometheus(http)


def test_the_dashboards_are_there_for_the_sidecar(monitored: Release) -> None:
    selector = ("--selector=grafana_dashboard=1", "--output=json")
    found = json.loads(monitored.namespace.kubectl("get", "configmaps", *selector))["items"]
    texts = {name: text for one in found for name, text in one["data"].items()}
    assert {name: json.loads(text) for name, text in texts.items()} == {
        f"orderfleet-{name}.json": board for name, board in dashboards().items()
    }


async def test_the_services_and_temporal_are_scraped_and_nothing_else(
    monitored: Release, steps: Steps
) -> None:
    async with _prometheus(monitored) as prometheus:
        with steps.step("pods that Prometheus scrapes, by annotation") as step:
            namespace = monitored.namespace

            async def differ() -> set[tuple[str, ...]]:
                return _annotated(namespace) ^ await _up(prometheus, namespace)

            await eventually("targets", differ, lambda found: not found, _SCRAPED_SECONDS)
            found = Counter(component for component, *_ in await _up(prometheus, namespace))
            assert found == _SCRAPED
            others = {_component(pod) for pod in namespace.get("pods")} - found.keys()
            # All of them are there, and none is scraped.
            assert {"postgres", "temporal-ui", "migrate"} <= others
            step.saw(targets=sum(found.values()), others=sorted(others))


async def test_every_query_has_data_and_no_alert_fires_that_should_not(
    monitored: Release, steps: Steps
) -> None:
    async with (
        _prometheus(monitored) as prometheus,
        monitored.shop() as shop,
        shop.following(),
        monitored.books() as pool,
        monitored.namespace.forwarded(f"service/{NAME}-temporal", 7233) as temporal,
    ):
        with steps.step("queries of dashboards and alerts, orders of all kinds") as step:
            every = _panels(monitored.namespace) + _alerts(monitored.namespace)
            lacking, placed = every, dict[str, str]()
            await mishaps.failing_workflow_task(f"127.0.0.1:{temporal}")
            deadline = time.monotonic() + _QUERIES_SECONDS
            while lacking:
                assert time.monotonic() < deadline, f"without data: {lacking}"
                # A rate needs two scrapes, so the orders keep coming.
                placed |= await _orders_of_all_kinds(shop)
                lacking = [one for one in lacking if not await _has_data(prometheus, *one)]
            alerts = rules(monitored.namespace.name, NAME)

            async def firing() -> set[str]:
                return {
                    name for name, rule in alerts.items() if await prometheus.query(rule["expr"])
                }

            await eventually("alerts", firing, lambda found: found == _FIRES, _OVER_SECONDS)
            await balanced(pool, placed)
            step.saw(queries=len(every), alerts=len(alerts), orders=dict(Counter(placed.values())))


async def test_an_order_is_one_trace_from_the_request_to_the_carrier(
    monitored: Release, collecting: Collecting | Jaeger, steps: Steps
) -> None:
    with steps.step(f"one trace of an order in {type(collecting).__name__}") as step:
        trace_id, order_id = secrets.token_hex(16), new_id("traced")
        async with monitored.shop() as shop:
            answer = await shop.http.post(
                f"/orders/{order_id}/start",
                json={"payment_id": f"pay-{order_id}", "address": HOME},
                headers={"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"},
            )
            assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
        async with collecting.reached() as taken:

            async def spans() -> list[Span]:
                return await taken.trace(trace_id)

            found = await eventually("the whole trace", spans, _is_whole, _TRACE_SECONDS)
        assert _tree(found) == drawn(_TREE)
        step.saw(spans=dict(Counter(span.service for span in found)))


@pytest.mark.parametrize("command", commands(Place.PROMETHEUS), ids=str)
async def test_a_runbooks_query_of_prometheus(
    monitored: Release, steps: Steps, command: Command
) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not on PATH: the runbook's query is not run")
    with steps.step("promtool, as a runbook has it") as step:
        async with monitored.shop() as shop, _prometheus_url(monitored) as url:
            await shop.ended(await shop.place("plain"))
            text = command.filled({"PROMETHEUS_URL": url})

            async def answer() -> str:
                return await asyncio.to_thread(run, "bash", "-c", text, seconds=30)

            said = await eventually(
                "orders by state",
                answer,
                lambda said: 'state="fulfilled"' in said,
                _SCRAPED_SECONDS,
            )
            step.saw(lines=len(said.splitlines()))


def _component(pod: Json) -> str:
    labels: dict[str, str] = pod["metadata"]["labels"]
    return labels["app.kubernetes.io/component"]


def _annotated(namespace: Namespace) -> set[tuple[str, ...]]:
    """Return what should be up: component and pod."""
    return {
        (_component(pod), pod["metadata"]["name"], "1")
        for pod in namespace.get("pods")
        if pod["metadata"].get("annotations", {}).get("prometheus.io/scrape") == "true"
    }


async def _up(prometheus: Prometheus, namespace: Namespace) -> set[tuple[str, ...]]:
    """Return what is up, by the labels of the scrape."""
    return {
        (one["metric"].get("component", ""), one["metric"].get("pod", ""), one["value"][1])
        for one in await prometheus.query(f'up{{namespace="{namespace.name}"}}')
    }


def _panels(namespace: Namespace) -> list[tuple[str, str, str]]:
    """Return the queries of all panels: where, expression, legend."""
    return [
        (panel.key, expr, legend)
        for panel in panels(namespace.name, NAME)
        for expr, legend in panel.queries()
    ]


def _alerts(namespace: Namespace) -> list[tuple[str, str, str]]:
    return [
        (f"alert {name}", rule["expr"], "")
        for name, rule in rules(namespace.name, NAME).items()
        if name not in _NEEDS_MORE | OF_THE_CLUSTER
    ]


async def _has_data(prometheus: Prometheus, where: str, expr: str, legend: str) -> bool:
    """Tell whether all that is compared or joined has data, with the labels that are shown."""
    for part in promql.parts(expr):
        found = await prometheus.numbers(part)
        if not found:
            return False
        for series in found:
            assert shown(legend) <= series["metric"].keys(), f"{where}: {series}"
    return True


async def _orders_of_all_kinds(shop: Shop) -> dict[str, str]:
    """Place an order for each kind of end and of counter; return their states."""
    placed = [await shop.place(kind) for kind in _KINDS]
    _, refused, *_, rejected = placed
    unknown = await shop.http.get(f"/orders/{new_id('nobody')}/status")
    assert unknown.status_code == HTTPStatus.NOT_FOUND
    await shop.until(rejected, "validated")
    answer = await shop.reject(rejected)
    assert answer.status_code == HTTPStatus.OK, answer.text
    # Charged, and the carrier does not take it.
    await shop.until(refused, "dispatch_failed")
    answer = await shop.cancel(refused)
    assert answer.status_code == HTTPStatus.OK, answer.text
    ended = [(await shop.ended(order_id))["state"] for order_id in placed]
    assert ended == ["fulfilled", "cancelled", "fulfilled", "failed", "rejected"]
    return dict(zip(placed, ended, strict=True))


def _is_whole(spans: list[Span]) -> bool:
    """Tell whether all services have sent their spans: a worker's last one is its workflow's."""
    ids = {span.span_id for span in spans}
    roots = [span.name for span in spans if span.parent_id not in ids]
    last = {"RunWorkflow:OrderWorkflow", "RunWorkflow:ShippingWorkflow"}
    return len(roots) == 1 and roots[0].startswith("POST ") and last <= {one.name for one in spans}


def _tree(spans: list[Span]) -> str:
    """Draw a trace; behind `@` is the service of a span, where it is not that of its parent."""
    services = {span.span_id: span.service for span in spans}
    return tree(
        [
            span
            if span.service == services.get(span.parent_id)
            else replace(span, name=f"{span.name} @{span.service.removeprefix(f'{NAME}-')}")
            for span in spans
        ]
    )
