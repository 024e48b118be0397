"""`orderfleet doctor --kubernetes`, on recorded responses of a cluster: KEDA 2.21, Kubernetes 1.34.

cluster_answers.json was recorded from a healthy release and from one with every fault, and then
trimmed. A stand-in for kubectl answers with it.
"""

import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.support.cli import NOWHERE, Cli
from tests.support.kubectl import KUBECTL, Cluster

_RECORDED: Final = msgspec.json.decode(
    Path(__file__).with_name("cluster_answers.json").read_bytes(), type=dict[str, Any]
)
_FAILING: Final = _RECORDED["failing"]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    cli = Cli(tmp_path, {**NOWHERE, "PATH": os.environ["PATH"]})
    answers = deepcopy(_RECORDED["healthy"])
    return Cluster(cli, {**answers, "backlog": answers["value"], "jobs": {"items": []}})


async def test_all_is_well(cluster: Cluster) -> None:
    outcome = await cluster.doctor("--namespace", "shop")
    lines = [line.split(maxsplit=1) for line in outcome.out.splitlines()[1:]]
    assert (outcome.status, {word for word, _ in lines}) == (0, {"OK"}), outcome
    findings = [" ".join(line.split()) for _, line in lines]
    assert findings[0] == "Kubernetes release shop in namespace shop"
    assert "scrape of order-worker 1 of 1 pods, every 5 s" in findings
    assert "query slots of order-worker 1 of 1 a pod: asks for 1 pod" in findings
    assert "HPA of shipping-worker wants 1 of 1 to 10 pods, has 1" in findings
    assert "admission on" in findings
    assert len(findings) == 23


def _status(component: str, recorded: str) -> Callable[[Cluster], None]:
    def change(cluster: Cluster) -> None:
        kind = "hpas" if recorded.startswith("HPA") else "scaledobjects"
        cluster.of(kind, component)["status"] = _FAILING[recorded]

    return change


def _pause(cluster: Cluster) -> None:
    paused = cluster.of("scaledobjects", "api")
    paused["metadata"]["annotations"] = _FAILING["paused"]["annotations"]
    paused["status"] = _FAILING["paused"]["status"]
    # KEDA removes the autoscaler of what is paused.
    del cluster.answers["hpas"]["items"][0]


def _another_scaled_object(cluster: Cluster) -> None:
    cluster.answers["scaledobjects"]["items"].append(_FAILING["no target"])


def _another_hpa(cluster: Cluster) -> None:
    cluster.answers["hpas"]["items"].append(_FAILING["no adapter"])


def _half_a_metric(cluster: Cluster) -> None:
    cluster.of("hpas", "order-worker")["status"]["currentMetrics"][1] = {"type": ""}


def _not_able(cluster: Cluster) -> None:
    conditions = cluster.of("hpas", "api")["status"]["conditions"]
    conditions[0] |= {"status": "False", "message": "unable to get the target's current scale"}


def _not_ready(cluster: Cluster) -> None:
    cluster.of("deployments", "api")["spec"]["replicas"] = 2


def _admission_off(cluster: Cluster) -> None:
    cluster.answers["configmaps"]["items"][0]["data"]["ORDERFLEET_ADMISSION"] = "off"


def _admission_off_by_extra_env(cluster: Cluster) -> None:
    variable = {"name": "ORDERFLEET_ADMISSION", "value": "off"}
    template = {"spec": {"containers": [{"name": "api", "env": [variable]}]}}
    cluster.of("deployments", "api")["spec"]["template"] = template


def _stuck(cluster: Cluster) -> None:
    message = 'ReplicaSet "shop-orderfleet-order-worker-7c9" has timed out progressing.'
    condition = {"type": "Progressing", "status": "False", "message": message}
    cluster.of("deployments", "order-worker")["status"]["conditions"] = [condition]


def _gate(cluster: Cluster, condition: str, *, image: str = "worker:2", minute: int = 0) -> None:
    """Add a gate of the order worker; the worker's image is worker:2."""
    deployment = cluster.of("deployments", "order-worker")
    deployment["spec"]["template"] = {"spec": {"containers": [{"image": "worker:2"}]}}
    labels = deployment["metadata"]["labels"] | {"app.kubernetes.io/component": "order-gate"}
    cluster.answers["jobs"]["items"].append(
        {
            "metadata": {
                "name": f"shop-orderfleet-order-gate-{minute}",
                "creationTimestamp": f"2026-01-31T12:{minute:02}:00Z",
                "labels": labels,
            },
            "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
            "status": {"conditions": [{"type": condition, "status": "True"}]},
        }
    )


def _refused(cluster: Cluster) -> None:
    _gate(cluster, "Complete")
    _gate(cluster, "Failed", minute=1)
    cluster.answers["log"] = b"orderfleet-order-gate: 5 of 9 orders of the new build are bad\n"


def _refused_without_a_log(cluster: Cluster) -> None:
    _gate(cluster, "Failed")
    cluster.answers["log"] = "error: timed out waiting for the condition"


def _no_deployment(cluster: Cluster) -> None:
    del cluster.answers["deployments"]["items"][2]


def _half_scaled(cluster: Cluster) -> None:
    for kind in ("scaledobjects", "hpas"):
        del cluster.answers[kind]["items"][0]


def _mode(component: str, mode: str) -> Callable[[Cluster], None]:
    """Take the scalers of a service away, whose Deployment names a mode of its own."""

    def change(cluster: Cluster) -> None:
        deployment = cluster.of("deployments", component)
        deployment["metadata"]["annotations"] = {"orderfleet/scaling": mode}
        index = cluster.answers["deployments"]["items"].index(deployment)
        for kind in ("scaledobjects", "hpas"):
            del cluster.answers[kind]["items"][index]

    return change


def _no_hpa(cluster: Cluster) -> None:
    del cluster.answers["hpas"]["items"][0]


def _answer(name: str, answer: Any) -> Callable[[Cluster], None]:
    return lambda cluster: cluster.answers.update({name: answer})


def _adapter(service: str) -> Callable[[Cluster], None]:
    def change(cluster: Cluster) -> None:
        cluster.answers["apiservice"]["spec"]["service"]["name"] = service

    return change


def _unavailable(cluster: Cluster) -> None:
    condition = cluster.answers["apiservice"]["status"]["conditions"][0]
    condition |= {"status": "False", "message": "no endpoints"}


def _address(address: str) -> Callable[[Cluster], None]:
    def change(cluster: Cluster) -> None:
        for scaled in cluster.answers["scaledobjects"]["items"]:
            for trigger in scaled["spec"]["triggers"]:
                trigger["metadata"]["serverAddress"] = address

    return change


def _scrape(*changes: Callable[[Any], None], component: str = "order-worker") -> Any:
    """Change the series of a service's pod: its own, and whether it is up."""

    def change(cluster: Cluster) -> None:
        result = cluster.answers["scrape"]["data"]["result"]
        name = cluster.of("pods", component)["metadata"]["name"]
        build, up = sorted(
            (series for series in result if series["metric"]["pod"] == name),
            key=lambda series: series["metric"]["__name__"],
        )
        assert up["metric"]["__name__"] == "up"
        for change_series in changes:
            change_series({"build": build, "up": up, "result": result})

    return change


def _is_stale(series: Any) -> None:
    for value in series["build"]["values"]:
        value[0] -= 60


def _is_down(series: Any) -> None:
    series["up"]["values"][-1][1] = "0"


def _is_gone(series: Any) -> None:
    for name in ("build", "up"):
        series["result"].remove(series[name])


def _is_twice(series: Any) -> None:
    series["result"].append(series["build"])


def _is_slow(series: Any) -> None:
    newest = series["build"]["values"][-1][0]
    series["build"]["values"] = [[newest - 60, "1"], [newest - 30, "1"], [newest, "1"]]


_ROWS: Final = deepcopy(_RECORDED["healthy"]["value"])
_ROWS["data"]["result"] *= 2
_NO_ROW: Final = {"data": {"resultType": "vector", "result": []}}
_NAN: Final = {"data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "NaN"]}]}}
_SCALAR: Final = {"data": {"resultType": "scalar", "result": [1, "1"]}}
_LOST: Final = "scrape of order-worker"
_BACKLOG: Final = "query backlog of order-worker"
_ADAPTER: Final = "external metrics API"
_HPA: Final = "HPA of order-worker"


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (_not_ready, "pods of api", ["1 of 2 ready", "kubectl describe pods --namespace shop"]),
        (_admission_off, "admission", ["off", "helm upgrade with api.admission true"]),
        (_admission_off_by_extra_env, "admission", ["off", "api.extraEnv"]),
        (_no_deployment, "pods of shipping-worker", ["no Deployment"]),
        (_stuck, "pods of order-worker", ["1 of 1 ready; ReplicaSet", "timed out progressing"]),
        (
            _refused,
            "gate of order-worker",
            [
                "5 of 9 orders",
                "helm rollback shop",
                "logs job/shop-orderfleet-order-gate-1",
            ],
        ),
        (_refused_without_a_log, "gate of order-worker", ["refused the build", "timed out"]),
        (_half_scaled, "autoscaling", ["nobody scales api", "autoscaling.mode"]),
        (_mode("api", "cpu"), "autoscaling", ["nobody scales api", "autoscaling.mode"]),
        (_scrape(_is_stale), _LOST, ["1 of 1", "podMonitor.enabled"]),
        (_scrape(_is_gone), _LOST, ["1 of 1", "global.metrics.annotations"]),
        (_scrape(_is_stale, _is_down), _LOST, ["global.networkPolicy.metricsFrom"]),
        (_scrape(_is_twice), _LOST, ["scraped twice", "not both"]),
        (_scrape(_is_slow), _LOST, ["every 30 s", "podMonitor.interval"]),
        (_answer("backlog", _ROWS), _BACKLOG, ["2 rows", "upgrade"]),
        (_answer("backlog", _NO_ROW), _BACKLOG, ["no value", "for an error"]),
        (_answer("backlog", _NAN), _BACKLOG, ["no value", "for an error"]),
        (_answer("backlog", _SCALAR), _BACKLOG, ["answers a scalar"]),
        (
            _answer("backlog", "Error from server (BadRequest): rejected"),
            _BACKLOG,
            ["rejected", "web UI of Prometheus"],
        ),
        (_address("http://prometheus.nowhere:9090"), "Prometheus", ["prometheus.address"]),
        (_address("prometheus:9090"), "Prometheus", ["expected http://host:port"]),
        (_answer("apiservice", "Error (NotFound)"), _ADAPTER, ["not served", "install KEDA"]),
        (_unavailable, _ADAPTER, ["no endpoints", "pods behind keda/keda-metrics-apiserver"]),
        (_adapter("prometheus-adapter"), _ADAPTER, ["not KEDA", "autoscaling.mode: hpa"]),
        (_answer("keda", {"items": []}), "KEDA's operator", ["0 ready in namespace keda"]),
        (_pause, "ScaledObject of api", ["annotate", "autoscaling.keda.sh/paused-"]),
        (_status("shipping-worker", "fallback"), "ScaledObject of shipping-worker", ["failed"]),
        (
            _status("order-worker", "one trigger"),
            "ScaledObject of order-worker",
            ["Ready is Unknown: Some triggers"],
        ),
        (_another_scaled_object, "ScaledObject of api", ["Ready is False"]),
        (_another_scaled_object, "scalers of api", ["shop-orderfleet-api-x"]),
        (_another_hpa, "scalers of shipping-worker", ["against each other"]),
        (_no_hpa, "scalers of api", ["KEDA has made no HPA"]),
        (_not_able, "HPA of api", ["AbleToScale is False", "kubectl describe hpa"]),
        (_half_a_metric, _HPA, ["1 of 2 metrics"]),
        (
            _status("order-worker", "HPA at its limit"),
            _HPA,
            ["more than 10 pods", "raise orderWorker.autoscaling.maxReplicas"],
        ),
        (
            _status("order-worker", "HPA without a metric"),
            _HPA,
            ["unable to get external metric shop/s1-prometheus: unable"],
        ),
    ],
)
async def test_each_fault_has_its_fix(
    cluster: Cluster, change: Callable[[Cluster], None], name: str, words: list[str]
) -> None:
    change(cluster)
    bad = await cluster.bad()
    assert bad[name].startswith("False "), bad
    for word in words:
        assert word in bad[name], bad


@pytest.mark.parametrize(
    ("condition", "found"), [("Complete", "passed"), ("Suspended", "runs: the new build")]
)
async def test_a_gate_that_passed_or_runs_is_no_fault(
    cluster: Cluster, condition: str, found: str
) -> None:
    _gate(cluster, "Failed", image="worker:1", minute=2)
    _gate(cluster, "Failed")
    _gate(cluster, condition, minute=1)
    outcome = await cluster.doctor()
    assert outcome.status == 0, outcome
    [line] = [line for line in outcome.out.splitlines() if "gate of" in line]
    assert line.split(maxsplit=4)[:4] == ["OK", "gate", "of", "order-worker"]
    assert found in line


async def test_a_fallback_is_shown_beside_the_trigger_that_failed(cluster: Cluster) -> None:
    _status("shipping-worker", "fallback")(cluster)
    outcome = await cluster.doctor()
    failed = [line for line in outcome.out.splitlines() if line.startswith("FAIL")]
    assert ["Fallback is True" in failed[0], *("trigger" in line for line in failed)] == [True] * 4


async def test_a_stale_condition_of_an_inactive_hpa_is_ignored(cluster: Cluster) -> None:
    _status("order-worker", "HPA without a metric")(cluster)
    outcome = await cluster.doctor()
    assert "wants more" not in outcome.out


async def test_at_0_pods_an_hpa_computes_nothing(cluster: Cluster) -> None:
    hpa = cluster.of("hpas", "order-worker")
    hpa["status"]["conditions"][1] |= {"status": "False", "reason": "ScalingDisabled"}
    cluster.of("deployments", "order-worker")["spec"]["replicas"] = 0
    del cluster.answers["pods"]["items"][1]
    assert await cluster.bad() == {}


async def test_a_new_pod_need_not_be_scraped(cluster: Cluster) -> None:
    _scrape(_is_gone)(cluster)
    conditions = cluster.of("pods", "order-worker")["status"]["conditions"]
    (ready,) = (condition for condition in conditions if condition["type"] == "Ready")
    ready["lastTransitionTime"] = "2126-01-31T12:00:00Z"
    assert await cluster.bad() == {}


async def test_nothing_scales(cluster: Cluster) -> None:
    cluster.answers["scaledobjects"] = "Error from server (NotFound): no such resource"
    cluster.answers["hpas"] = {"items": []}
    cluster.answers["apiservice"] = "not asked"
    outcome = await cluster.doctor()
    assert outcome.status == 0
    assert "autoscaling.mode: none" in outcome.out
    assert list(await cluster.bad()) == ["Prometheus"]
    assert await cluster.bad("http://prometheus.monitoring:9090") == {}


async def test_mode_hpa(cluster: Cluster) -> None:
    cluster.answers["scaledobjects"] = {"items": []}
    assert list(await cluster.bad()) == ["Prometheus", "external metrics API"]
    assert (await cluster.bad())["Prometheus"].startswith("None ")
    _adapter("prometheus-adapter")(cluster)
    assert await cluster.bad("http://prometheus.monitoring.svc:9090/") == {}


@pytest.mark.parametrize(
    ("mode", "found"),
    [("external", "another scaler scales api"), ("none", "nobody scales api")],
)
async def test_a_service_may_have_a_mode_of_its_own(
    cluster: Cluster, mode: str, found: str
) -> None:
    _mode("api", mode)(cluster)
    outcome = await cluster.doctor()
    assert await cluster.bad() == {}
    assert f"KEDA scales order-worker, shipping-worker; {found}" in outcome.out


async def test_cpu_is_no_external_metric(cluster: Cluster) -> None:
    cluster.answers["scaledobjects"] = {"items": []}
    cluster.answers["apiservice"] = "not asked"
    for hpa in cluster.answers["hpas"]["items"]:
        hpa["spec"]["metrics"] = [{"type": "ContainerResource"}] * len(hpa["spec"]["metrics"])
    assert await cluster.bad("http://prometheus.monitoring:9090") == {}
    active = cluster.of("hpas", "api")["status"]["conditions"][1]
    active |= {"status": "False", "reason": "FailedGetContainerResourceMetric"}
    bad = await cluster.bad("http://prometheus.monitoring:9090")
    assert "install metrics-server" in bad["HPA of api"]


async def test_what_needs_a_missing_permission_is_skipped(cluster: Cluster) -> None:
    for name in ("scrape", "apiservice", "configmaps", "jobs"):
        cluster.answers[name] = f"Error from server (Forbidden): {name} is forbidden"
    outcome = await cluster.doctor()
    assert outcome.status == 0
    skipped = [line.split()[1] for line in outcome.out.splitlines() if line.startswith("SKIP")]
    assert skipped == ["gates", "admission", "Prometheus", "external"]
    document = (await cluster.doctor("--json")).json
    assert (document["ok"], {check["ok"] for check in document["checks"]}) == (True, {True, None})
    assert "--prometheus" in (await cluster.bad())["Prometheus"]


async def test_a_prometheus_outside_the_cluster(cluster: Cluster) -> None:
    address = "http://me:hidden@127.0.0.1:1"
    _address(address)(cluster)
    skipped = (await cluster.bad())["Prometheus"]
    assert skipped.startswith("None http://127.0.0.1:1: no answer from here: ")
    named = (await cluster.bad(address))["Prometheus"]
    assert named.startswith("False http://127.0.0.1:1: no answer from here: ")


async def test_which_release(cluster: Cluster) -> None:
    other = await cluster.doctor("--release", "other", "--namespace", "shop")
    assert (other.status, other.error) == (
        1,
        "release other of orderfleet not found in namespace shop",
    )
    second = deepcopy(cluster.of("deployments", "api"))
    second["metadata"]["labels"]["app.kubernetes.io/instance"] = "second"
    cluster.answers["deployments"]["items"].append(second)
    several = await cluster.doctor()
    assert several.error == (
        "several releases in the namespace of the context, set --release: second, shop"
    )
    assert (await cluster.doctor("--release", "shop")).status == 0
    cluster.answers["deployments"] = {"items": []}
    without = await cluster.doctor()
    assert (without.status, without.error) == (
        1,
        "no release of orderfleet found in the namespace of the context",
    )


async def test_no_cluster(cluster: Cluster) -> None:
    cluster.answers["deployments"] = "E1 noise\nThe connection to localhost:8080 was refused\n"
    outcome = await cluster.doctor()
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.error == "kubectl: The connection to localhost:8080 was refused"


async def test_no_kubectl_and_no_kubernetes(tmp_path: Path) -> None:
    cli = Cli(tmp_path, {**NOWHERE, "PATH": str(tmp_path)})
    without = await cli("doctor", "--kubernetes")
    assert (without.status, without.error) == (1, "kubectl is not installed")
    wrong = await cli("doctor", "--namespace", "shop")
    assert (wrong.status, wrong.error) == (
        2,
        "--namespace, --release and --prometheus need --kubernetes",
    )
