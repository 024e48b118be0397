"""Dashboards and alerts against what a busy fleet tells: no name without a metric, no empty panel.

A fleet of its own drives every path, and what has to go wrong for a counter to be there goes wrong.
"""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final, NamedTuple

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from orderfleet.store.pool import open_pool
from orderfleet.temporal.payload_keys import make_key
from orderfleet_cli.local import FleetOptions, Ports, run_fleet
from tests.e2e.support import faults
from tests.e2e.support.orders import Orders, clients, eventually
from tests.e2e.test_metrics import Busy
from tests.monitoring.support import mishaps, promql
from tests.monitoring.support.panels import panels, shown
from tests.monitoring.support.prometheus import Prometheus, labels, run_prometheus, targets
from tests.monitoring.support.rules import OF_THE_CLUSTER, rules
from tests.monitoring.support.signals import HPA, KEDA, ZERO, signals

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

Series = dict[str, list[dict[str, str]]]

# By `mishaps`.
_MADE_TO_HAPPEN: Final = {
    "ApiErrors",
    "OrdersRefused",
    "WorkflowNonDeterminism",
    "WorkflowTaskFailures",
}


class Asked(NamedTuple):
    """An expression and where it stands."""

    where: str
    expr: str
    legend: str = ""


def asked() -> list[Asked]:
    """Return the expressions of all dashboards and of the alerts on what the fleet tells."""
    return [
        Asked(panel.key, expr, legend) for panel in panels() for expr, legend in panel.queries("5m")
    ] + [
        Asked(f"alert {name}", rule["expr"])
        for name, rule in rules().items()
        if name not in OF_THE_CLUSTER
    ]


ASKED: Final = asked()
each_name = pytest.mark.parametrize("where", sorted({one.where for one in ASKED}))


class Told(NamedTuple):
    """What the fleet told."""

    series: Series
    prometheus: Prometheus | None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    keys = tmp_path_factory.mktemp("credentials") / "payload-keys"
    keys.write_text(f"{make_key()}\n")
    env = {"ORDERFLEET_EXPORTER_SECONDS": "1", "ORDERFLEET_VERSIONING": "on"}
    # A credential of every process.
    env |= {"ORDERFLEET_PAYLOAD_KEYS_FILE": str(keys)}
    options = FleetOptions(
        data=tmp_path_factory.mktemp("fleet"),
        env=faults.ENV | env,
        ports=Ports.anywhere(),
    )
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(run_fleet(options))
        http = await stack.enter_async_context(clients(fleet))
        pool = await stack.enter_async_context(
            open_pool(fleet.database_url, size=2, wait_seconds=5)
        )
        orders = Orders(http, pool, fleet)
        prometheus = None
        if shutil.which("prometheus"):
            folder = tmp_path_factory.mktemp("prometheus")
            prometheus = await stack.enter_async_context(run_prometheus(fleet, folder))
        # First what starts processes anew: their counters begin at 0 again.
        await mishaps.postgres_away(orders)
        await mishaps.history_that_does_not_fit(orders)
        await mishaps.failing_workflow_task(orders.fleet.temporal_address)
        await mishaps.unknown_order(orders)
        await Busy(orders).drive()
        yield Told(await _scraped(targets(fleet)), prometheus)


async def _scraped(urls: dict[str, str]) -> Series:
    found: Series = {}
    async with httpx.AsyncClient(trust_env=False) as http:
        for component, url in urls.items():
            given = labels(component)
            text = (await http.get(url)).text
            names = set(re.findall(r"^\w+", text, re.MULTILINE))
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    # The parser adds it to every counter, and the core's have none.
                    name = sample.name if sample.name in names else sample.name[: -len("_total")]
                    # As Prometheus does with labels that a scrape gives too.
                    own = {
                        f"exported_{label}" if label in given else label: value
                        for label, value in sample.labels.items()
                    }
                    found.setdefault(name, []).append(own | given)
    return found


@each_name
async def test_each_selector_selects_something_that_was_scraped(told: Told, where: str) -> None:
    for one in ASKED:
        if one.where != where:
            continue
        for selector in promql.selectors(one.expr):
            assert selector.name in told.series, f"no metric {selector.name}"
            series = told.series[selector.name]
            known = set().union(*series)
            unknown = {matcher.name for matcher in selector.matchers} - known
            assert not unknown, f"{selector.name} has no label {unknown}"
            assert any(map(selector.selects, series)), f"nothing is {selector}"


@each_name
async def test_each_label_is_one_of_the_metrics(told: Told, where: str) -> None:
    for one in ASKED:
        if one.where != where:
            continue
        known: set[str] = set()
        for selector in promql.selectors(one.expr):
            known = known.union(*told.series.get(selector.name, []))
        assert promql.labels(one.expr) | shown(one.legend) <= known


@pytest.mark.needs("prometheus")
@each_name
async def test_each_expression_has_data(told: Told, where: str) -> None:
    assert told.prometheus
    for one in ASKED:
        if one.where != where:
            continue
        for part in promql.parts(one.expr):
            found = await eventually(partial(told.prometheus.numbers, part), bool)
            legend = shown(one.legend)
            assert all(legend <= series["metric"].keys() for series in found), f"{found[0]}"


@pytest.mark.needs("prometheus", "helm")
@pytest.mark.parametrize("values", [KEDA, ZERO, HPA], ids=["keda", "zero", "hpa"])
async def test_each_signal_of_a_scaler_is_one_number(told: Told, values: dict[str, Any]) -> None:
    assert told.prometheus
    for name, expr in signals(values).items():
        for selector in promql.selectors(expr):
            series = told.series.get(selector.name, [])
            assert any(map(selector.selects, series)), f"{name}: nothing is {selector}"
        found = await eventually(partial(told.prometheus.numbers, expr), bool)
        assert len(found) == 1, name
        # Of a release that is not scraped there is none: no data is not 0.
        elsewhere = expr.replace('namespace="shop"', 'namespace="elsewhere"')
        assert await told.prometheus.query(elsewhere) == [], name


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("name", rules())
async def test_no_alert_fires_that_need_not(told: Told, name: str) -> None:
    assert told.prometheus
    if name in _MADE_TO_HAPPEN:
        return
    assert await told.prometheus.query(rules()[name]["expr"]) == []
