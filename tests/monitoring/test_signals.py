"""What a scaler is told: `promtool test rules` over the queries of the chart and of the adapter."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.monitoring.support import promql
from tests.monitoring.support.promtool import run_tests
from tests.monitoring.support.signals import ADAPTER, HPA, KEDA, ZERO, signals

MODES: Final[dict[str, dict[str, Any]]] = {"keda": KEDA, "zero": ZERO, "hpa": HPA}
NUMBER: Final = {"keda": 7, "zero": 7, "hpa": 9}
SLOTS: Final = "temporal_worker_task_slots_used"
BACKLOG: Final = "orderfleet_task_queue_backlog"
POLLERS: Final = "orderfleet_task_queue_pollers"
CPU: Final = "process_cpu_seconds_total"
REQUESTS: Final = "orderfleet_http_requests_total"
UNDER_WAY: Final = "orderfleet_http_requests_in_progress"

Samples = dict[str, str]


def series(metric: str, pod: str, namespace: str = "shop", **labels: str) -> str:
    """Name a series of a pod."""
    given = {"namespace": namespace, "pod": f"{pod}-5d9c7-x2x4z", **labels}
    matchers = ", ".join(f'{name}="{value}"' for name, value in given.items())
    return f"{metric}{{{matchers}}}"


def slots(pod: str, kind: str, queue: str = "orders-tq", namespace: str = "shop") -> str:
    labels = {"task_queue": queue, "worker_type": f"{kind}Worker"}
    return series(SLOTS, pod, namespace, **labels)


def queue(metric: str, pod: str, kind: str, name: str = "orders-tq") -> str:
    return series(metric, pod, task_queue=name, type=kind)


ORDER_WORKER: Final = "shop-order-worker"
# Others' pods, which no signal of the order worker may see.
OTHERS: Final = {
    slots("shop-shipping-worker", "Activity", "shipping-tq"): "90",
    slots("shop-2-order-worker", "Activity"): "90",
    slots(ORDER_WORKER, "Activity", namespace="shop-2"): "90",
    queue(BACKLOG, "shop-api", "activity", "shipping-tq"): "900",
    queue(BACKLOG, "shop-2-api", "activity"): "900",
    queue(POLLERS, "shop-api", "activity", "shipping-tq"): "0",
    queue(POLLERS, "shop-2-api", "activity"): "0",
    series(REQUESTS, "shop-2-api", route="/orders"): "0+900x40",
    series(UNDER_WAY, "shop-2-api"): "1",
    series(CPU, "shop-shipping-worker"): "0+4x40",
    series(CPU, "shop-2-order-worker"): "0+4x40",
    series(CPU, ORDER_WORKER, "shop-2"): "0+4x40",
}
BUSY: Final = {
    slots(ORDER_WORKER, "Activity"): "90",
    slots(ORDER_WORKER + "-2", "Activity"): "60",
    slots(ORDER_WORKER, "Workflow"): "3",
}
POLLED: Final = {queue(POLLERS, "shop-api", "workflow"): "2"}
NOT_POLLED: Final = {
    queue(POLLERS, pod, kind): "0" for pod in ("shop-api", "shop-api-2") for kind in ("a", "w")
}
WAITING: Final = {
    queue(BACKLOG, "shop-api", "workflow"): "5",
    queue(BACKLOG, "shop-api", "activity"): "30",
    # The same queue, as another pod of the API sees it a little later.
    queue(BACKLOG, "shop-api-2", "activity"): "32",
}
# Of a core four tenths and eight, counted every 5 s.
AT_WORK: Final = {
    series(CPU, ORDER_WORKER): "0+2x40",
    series(CPU, ORDER_WORKER + "-2"): "0+4x40",
}
# Ten a second of each of two pods, every 5 s.
ASKED: Final = {
    series(REQUESTS, "shop-api", route="/orders"): "0+50x40",
    series(REQUESTS, "shop-api-2", route="/orders"): "0+50x40",
    series(UNDER_WAY, "shop-api"): "1",
}
ONLY_SCRAPED: Final = {series(UNDER_WAY, "shop-api"): "4", series(UNDER_WAY, "shop-api-2"): "0"}
# Since Prometheus came back: the rate is not known, and it is not 0.
SCRAPED_ONCE: Final = ONLY_SCRAPED | {series(REQUESTS, "shop-api"): "_x23 900"}
# What is left when Prometheus has seen no pod for 5 minutes.
GONE: Final = "stale"

# Mode, signal, what was scraped, and the value that a scaler gets, None if it gets none.
CASES: Final[list[tuple[str, str, Samples, float | None]]] = [
    # 150 of 60 slots that a pod is to have in use.
    ("keda", "order-worker: slots", BUSY, 2.5),
    ("keda", "order-worker: slots", {slots(ORDER_WORKER, "Activity"): "0"}, 0),
    ("keda", "order-worker: slots", {slots(ORDER_WORKER, "Workflow"): "60"}, 1),
    ("keda", "order-worker: slots", {}, None),
    ("keda", "order-worker: slots", dict.fromkeys(BUSY, GONE), None),
    ("keda", "order-worker: slots", NOT_POLLED, None),
    ("keda", "order-worker: backlog", WAITING, 37),
    ("keda", "order-worker: backlog", dict.fromkeys(WAITING, "0"), 0),
    ("keda", "order-worker: backlog", {}, None),
    ("keda", "order-worker: cores", AT_WORK, 1.2),
    ("keda", "order-worker: cores", dict.fromkeys(AT_WORK, "7"), 0),
    ("keda", "order-worker: cores", {}, None),
    ("keda", "order-worker: cores", NOT_POLLED, None),
    ("keda", "api: requests", ASKED, 20),
    ("keda", "api: requests", ONLY_SCRAPED, 0),
    ("keda", "api: requests", {}, None),
    ("keda", "api: requests", SCRAPED_ONCE, None),
    ("zero", "order-worker: slots", BUSY | POLLED, 2.5),
    ("zero", "order-worker: slots", BUSY | NOT_POLLED, 2.5),
    ("zero", "order-worker: slots", NOT_POLLED, 0),
    ("zero", "order-worker: slots", NOT_POLLED | POLLED, None),
    ("zero", "order-worker: slots", {}, None),
    ("zero", "order-worker: cores", AT_WORK | NOT_POLLED, 1.2),
    ("zero", "order-worker: cores", NOT_POLLED, 0),
    ("zero", "order-worker: cores", NOT_POLLED | POLLED, None),
    ("hpa", "order-worker: orderfleet_slots_used ActivityWorker", BUSY, 150),
    ("hpa", "order-worker: orderfleet_slots_used WorkflowWorker", BUSY, 3),
    ("hpa", "order-worker: orderfleet_slots_used ActivityWorker", {}, None),
    ("hpa", "order-worker: orderfleet_tasks_waiting", WAITING, 37),
    ("hpa", "order-worker: orderfleet_tasks_waiting", {}, None),
    ("hpa", "order-worker: orderfleet_cores_used", AT_WORK, 1.2),
    ("hpa", "order-worker: orderfleet_cores_used", {}, None),
    ("hpa", "api: orderfleet_requests_per_second", ASKED, 20),
    ("hpa", "api: orderfleet_requests_per_second", ONLY_SCRAPED, 0),
    ("hpa", "api: orderfleet_requests_per_second", SCRAPED_ONCE, None),
    ("hpa", "api: orderfleet_requests_per_second", {}, None),
]


@pytest.fixture(scope="module")
def queries() -> dict[str, dict[str, str]]:
    return {mode: signals(values) for mode, values in MODES.items()}


@pytest.mark.needs("helm", "promtool")
@pytest.mark.parametrize(("mode", "signal", "scraped", "value"), CASES)
def test_a_scaler_is_told(
    mode: str,
    signal: str,
    scraped: Samples,
    value: float | None,
    queries: dict[str, dict[str, str]],
    tmp_path: Path,
) -> None:
    done = promtool(tmp_path, queries[mode][signal], OTHERS | scraped, value)
    assert done.returncode == 0, done.stdout + done.stderr


def promtool(
    folder: Path, expr: str, scraped: Samples, value: float | None
) -> subprocess.CompletedProcess[str]:
    samples: list[dict[str, Any]] = [] if value is None else [{"value": value}]
    test = {
        "interval": "5s",
        "input_series": [
            {
                "series": name,
                "values": values if re.search(r"[x ]|stale", values) else f"{values}x40",
            }
            for name, values in scraped.items()
        ],
        "promql_expr_test": [{"expr": expr, "eval_time": "2m", "exp_samples": samples}],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    return run_tests(folder)


@pytest.mark.needs("helm")
@pytest.mark.parametrize("mode", MODES)
def test_each_query_parses_and_is_about_one_release(
    mode: str, queries: dict[str, dict[str, str]]
) -> None:
    assert len(queries[mode]) == NUMBER[mode]
    for expr in queries[mode].values():
        for selector in promql.selectors(expr):
            matched = {matcher.name: matcher.value for matcher in selector.matchers}
            assert matched["namespace"] == "shop"
            assert re.fullmatch(r"shop-(api|order-worker|shipping-worker)-\.\+", matched["pod"])
        # No data is not 0.
        assert "vector(" not in expr


def test_the_adapter_discovers_what_it_then_asks_for() -> None:
    text = ADAPTER.read_text()
    for rule in yaml.safe_load(text)["rules"]["external"]:
        (discovered,) = promql.selectors(rule["seriesQuery"])
        assert f"{discovered.name}{{" in rule["metricsQuery"]
        assert rule["resources"] == {"overrides": {"namespace": {"resource": "namespace"}}}
        # One line above each rule tells what it is.
        assert re.search(rf"\n    # .+\n    - seriesQuery: {discovered.name}{{", text)
