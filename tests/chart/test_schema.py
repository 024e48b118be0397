"""What is wrong in the values is refused, in a sentence that names the value."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, helm

pytestmark = pytest.mark.needs("helm")

KEDA = "autoscaling.mode=keda,autoscaling.prometheus.address=http://prometheus:9090"
FROM_TEMPORAL = f"{KEDA},autoscaling.keda.backlogFrom=temporal"
THERE = "temporal.enabled=false,temporal.address=there:7233"
CLOUD = f"{THERE},temporal.apiKey.existingSecret=x"
NO_ADMISSION = "api.admission=false"
NO_WORKER_BY_KEDA = "orderWorker.autoscaling.mode=none,shippingWorker.autoscaling.mode=external"
ZERO = "shippingWorker.autoscaling.minReplicas=0,shippingWorker.autoscaling.scaleToZero=true"
# What somebody may write, and what helm has to say to it.
REFUSED = {
    # Names.
    "apo.replicas=3": "at '': additional properties 'apo' not allowed",
    "api.replica=3": "at '/api': additional properties 'replica' not allowed",
    "api.image.registry=x": "at '/api/image': additional properties 'registry' not allowed",
    "orders.deadline=20": "at '/orders': additional properties 'deadline' not allowed",
    "postgres.persistence.storageClass=x": (
        "at '/postgres/persistence': additional properties 'storageClass' not allowed"
    ),
    "temporal.namespace.names=x": "at '/temporal/namespace': additional properties 'names'",
    "global.networkPolicy.enable=true": "at '/global/networkPolicy': additional properties 'en",
    # Types.
    "api.replicas=two": "at '/api/replicas': got string, want integer",
    "api.auth.open=sure": "at '/api/auth/open': got string, want boolean",
    "api.image.tag=17": "at '/api/image/tag': got number, want string",
    "api.podLabels=x": "at '/api/podLabels': got string, want object",
    "api.tolerations=x": "at '/api/tolerations': got string, want array",
    "api.ingress.hosts=orders.example.com": "at '/api/ingress/hosts': got string, want array",
    "global.imagePullSecrets=registry": "at '/global/imagePullSecrets': got string, want array",
    "global.imagePullSecrets[0]=registry": "at '/global/imagePullSecrets/0': got string, want obj",
    "api.extraEnv[0].value=x": "at '/api/extraEnv/0': missing property 'name'",
    "temporal.extraEnv.NAME=x": "at '/temporal/extraEnv': got object, want array",
    "global.pods.hostalias=x": "at '/global/pods': additional properties 'hostalias' not allowed",
    "api.dnsPolicy=cluster": "at '/api/dnsPolicy': value must be one of 'ClusterFirst'",
    "global.pods.hostAliases[0].ip=10.0.0.7": "hostAliases/0': missing property 'hostnames'",
    "temporal.ui.extraContainers=x": "at '/temporal/ui/extraContainers': got string, want null",
    "orderWorker=x": "at '/orderWorker': got string, want object",
    # Ranges.
    "api.replicas=-1": "at '/api/replicas': minimum: got -1, want 0",
    "backup.maxAgeSeconds=10": "at '/backup/maxAgeSeconds': minimum: got 10, want 60",
    "backup.persistence.size=many": "at '/backup/persistence/size': 'many' does not match pattern",
    "backup.s3.bucket=s3://b": "at '/backup/s3/bucket': 's3://b' does not match pattern",
    "backup.s3.prefix=/a": "at '/backup/s3/prefix': '/a' does not match pattern",
    "backup.s3.endpoint=s3.local": "at '/backup/s3/endpoint': 's3.local' does not match pattern",
    "backup.s3.extraEnv[0].value=x": "at '/backup/s3/extraEnv/0': missing property 'name'",
    "orders.deadlineSeconds=0": "at '/orders/deadlineSeconds': minimum: got 0, want 1",
    "orders.deadlineSeconds=3601": "at '/orders/deadlineSeconds': maximum: got 3,601, want 3,600",
    "orders.reviewSeconds=-1": "at '/orders/reviewSeconds': minimum: got -1, want 0",
    "api.service.port=0": "at '/api/service/port': minimum: got 0, want 1",
    "temporal.postgres.port=0": "at '/temporal/postgres/port': minimum: got 0, want 1",
    "postgres.port=65536": "at '/postgres/port': maximum: got 65,536, want 65,535",
    "orderWorker.activitySlots=0": "at '/orderWorker/activitySlots': minimum: got 0, want 1",
    "orderWorker.workflowSlots=1": "at '/orderWorker/workflowSlots': minimum: got 1, want 2",
    "shippingWorker.workflowSlots=1": "at '/shippingWorker/workflowSlots': minimum: got 1, want 2",
    "shippingWorker.databasePoolSize=0": "at '/shippingWorker/databasePoolSize': minimum",
    "orderWorker.drainSeconds=-1": "at '/orderWorker/drainSeconds': minimum: got -1, want 0",
    "temporal.historyShards=0": "at '/temporal/historyShards': minimum: got 0, want 1",
    "api.podDisruptionBudget.maxUnavailable=-1": (
        "at '/api/podDisruptionBudget/maxUnavailable': minimum: got -1, want 0"
    ),
    "api.autoscaling.minReplicas=0": "at '/api/autoscaling/minReplicas': minimum: got 0, want 1",
    "api.autoscaling.maxReplicas=0": "at '/api/autoscaling/maxReplicas': minimum: got 0, want 1",
    "orderWorker.autoscaling.minReplicas=-1": "at '/orderWorker/autoscaling/minReplicas': minimum",
    "orderWorker.autoscaling.slotTargetPercent=0": "slotTargetPercent': minimum: got 0, want 1",
    "orderWorker.autoscaling.slotTargetPercent=101": "slotTargetPercent': maximum: got 101",
    "shippingWorker.autoscaling.backlogTarget=0": "backlogTarget': minimum: got 0, want 1",
    "orderWorker.autoscaling.coreTargetPercent=0": "coreTargetPercent': minimum: got 0, want 1",
    "api.autoscaling.requestsTarget=0": "at '/api/autoscaling/requestsTarget': minimum: got 0",
    "versioning.gate.percent=0": "at '/versioning/gate/percent': minimum: got 0, want 1",
    "versioning.gate.percent=100": "at '/versioning/gate/percent': maximum: got 100, want 50",
    "versioning.gate.keepSeconds=-1": "at '/versioning/gate/keepSeconds': minimum: got -1, want 0",
    "autoscaling.keda.pollingSeconds=0": "at '/autoscaling/keda/pollingSeconds': minimum: got 0",
    "autoscaling.keda.cooldownSeconds=-1": "at '/autoscaling/keda/cooldownSeconds': minimum",
    # Choices and patterns.
    "autoscaling.mode=vpa": "at '/autoscaling/mode': value must be one of 'none', 'keda', 'hpa'",
    "autoscaling.mode=cpu": "at '/autoscaling/mode': value must be one of 'none', 'keda', 'hpa'",
    "api.autoscaling.mode=vpa": "at '/api/autoscaling/mode': value must be one of '', 'none'",
    "autoscaling.prometheus.address=prometheus:9090": "at '/autoscaling/prometheus/address': 'prom",
    "autoscaling.prometheus.authModes=password": "at '/autoscaling/prometheus/authModes': 'pas",
    "versioning.promotion=auto": "at '/versioning/promotion': value must be one of 'gate', 'self'",
    "autoscaling.keda.backlogFrom=redis": "at '/autoscaling/keda/backlogFrom': value must be one",
    "logLevel=verbose": "at '/logLevel': value must be one of 'debug', 'info', 'warning', 'error'",
    "temporal.logLevel=warning": "at '/temporal/logLevel': value must be one of 'debug', 'info'",
    "api.image.pullPolicy=always": "at '/api/image/pullPolicy': value must be one of 'Always'",
    "temporal.ui.image.pullPolicy=x": "at '/temporal/ui/image/pullPolicy': value must be one of",
    "api.service.type=External": "at '/api/service/type': value must be one of 'ClusterIP'",
    "postgres.sslMode=prefer": "at '/postgres/sslMode': value must be one of 'disable', 'require'",
    "api.tenantRates=shop": "at '/api/tenantRates': 'shop' does not match pattern",
    "api.image.digest=latest": "at '/api/image/digest': 'latest' does not match pattern",
    "api.image.repository=": "at '/api/image/repository': minLength: got 0, want 1",
    "api.podDisruptionBudget.maxUnavailable=half": "'half' does not match pattern",
    "api.resources.requests.memory=1 GB": "at '/api/resources/requests/memory': '1 GB' does not",
    "api.resources.limits.cpu=-1": "at '/api/resources/limits/cpu': exclusiveMinimum: got -1",
    "api.ingress.path=orders": "at '/api/ingress/path': 'orders' does not match pattern",
    "orderWorker.paymentGatewayUrl=payments:80": "at '/orderWorker/paymentGatewayUrl': 'payments",
    "temporal.namespace.retention=3 days": "at '/temporal/namespace/retention': '3 days' does not",
    "temporal.namespace.name=": "at '/temporal/namespace/name': minLength: got 0, want 1",
    # What does not go together: templates/_checks.tpl.
    "postgres.enabled=false": "postgres.host: needed when postgres.enabled is false",
    "postgres.enabled=false,postgres.host=there": (
        "postgres.existingSecret: needed when postgres.enabled is false"
    ),
    "postgres.enabled=false,postgres.host=there,postgres.existingSecret=x": (
        "temporal.postgres.host: needed for an own Temporal when postgres.enabled is false"
    ),
    "postgres.hosts={there}": "postgres.host: there would not be used: set postgres.enabled",
    "postgres.enabled=false,postgres.host=there,postgres.hosts={here}": (
        "postgres.hosts: set postgres.host or postgres.hosts"
    ),
    "postgres.fleetSecret.name=x": "postgres.ownerSecret, postgres.fleetSecret: the chart's",
    "postgres.host=there": "postgres.host: there would not be used: set postgres.enabled to false",
    "postgres.existingSecret=x": "temporal.postgres.existingSecret: has to be postgres.existing",
    "postgres.secretKeys.temporal=x": "temporal.postgres.passwordKey: has to be postgres.secret",
    "temporal.address=there:7233": "temporal.address: there:7233 would not be used",
    "temporal.enabled=false": "temporal.address: wanted host:port when temporal.enabled is false",
    "temporal.enabled=false,temporal.address=there": "temporal.address: wanted host:port",
    "temporal.enabled=false,temporal.address=there:7233,temporal.tls.caSecret=x": (
        "temporal.tls.enabled: needed for the other values of temporal.tls"
    ),
    "temporal.tls.enabled=true": "temporal.tls.enabled: only for a Temporal that is there already",
    "temporal.apiKey.existingSecret=x": "temporal.apiKey.existingSecret: only for a Temporal that",
    "temporal.postgres.host=there": "temporal.postgres.existingSecret: needed with temporal.post",
    "temporal.postgres.database=x": "temporal.postgres: the release's own Postgres has the role",
    "orders.taskQueue=": "orders.taskQueue: must not be empty",
    "orders.taskQueue=shipping-tq": "orders.shippingTaskQueue: must differ from orders.taskQueue",
    "autoscaling.mode=keda": "autoscaling.prometheus.address: needed when autoscaling.mode is keda",
    "api.autoscaling.mode=keda": (
        "autoscaling.prometheus.address: needed when api.autoscaling.mode is keda"
    ),
    "orderWorker.autoscaling.mode=cpu": (
        "orderWorker.autoscaling.mode: cpu is for the API alone, as a worker that waits"
    ),
    f"{KEDA},api.autoscaling.mode=hpa": (
        "api.autoscaling.mode: hpa cannot be beside keda of autoscaling.mode, as a cluster has one"
    ),
    f"{KEDA},shippingWorker.autoscaling.mode=external,{ZERO}": (
        "scaleToZero: needs shippingWorker.autoscaling.mode keda, got external"
    ),
    "shippingWorker.autoscaling.mode=hpa,orders.shippingTaskQueue=a/b": (
        '"a/b" cannot be a label\'s value, which shippingWorker.autoscaling.mode hpa needs'
    ),
    "autoscaling.prometheus.authModes=basic": (
        "autoscaling.prometheus.authentication: needed with autoscaling.prometheus.authModes"
    ),
    "autoscaling.keda.temporalAuthentication=x": (
        "autoscaling.keda.temporalAuthentication: only with autoscaling.keda.backlogFrom temporal"
    ),
    FROM_TEMPORAL: "temporal.allowFrom: has to let KEDA's operator in when",
    f"{FROM_TEMPORAL},autoscaling.keda.temporalAuthentication=x": (
        "autoscaling.keda.temporalAuthentication: only for a Temporal that is there already"
    ),
    f"{FROM_TEMPORAL},{THERE},temporal.tls.enabled=true": (
        "autoscaling.keda.temporalAuthentication: needed, as KEDA speaks TLS to Temporal only"
    ),
    f"{FROM_TEMPORAL},{CLOUD}": "autoscaling.keda.temporalAuthentication: needed, as KEDA speaks",
    "api.autoscaling.maxReplicas=1": ("api.autoscaling.maxReplicas: 1 is less than minReplicas, 2"),
    "shippingWorker.autoscaling.minReplicas=11": (
        "shippingWorker.autoscaling.maxReplicas: 10 is less than minReplicas, 11"
    ),
    f"{KEDA},orderWorker.autoscaling.minReplicas=0": (
        "orderWorker.autoscaling.minReplicas: 0 needs scaleToZero"
    ),
    f"{KEDA},orderWorker.autoscaling.scaleToZero=true": (
        "orderWorker.autoscaling.minReplicas: has to be 0 with scaleToZero, got 2"
    ),
    f"autoscaling.mode=hpa,{ZERO}": (
        "shippingWorker.autoscaling.scaleToZero: needs autoscaling.mode keda, got hpa"
    ),
    ZERO: "shippingWorker.autoscaling.scaleToZero: needs autoscaling.mode keda, got none",
    f"{KEDA},{ZERO}": "api.admission: has to be false with shippingWorker.autoscaling.scaleToZero",
    f"{KEDA},{ZERO},{NO_ADMISSION},alerts.enabled=true": (
        "alerts.disabled: has to have MetricsMissing"
    ),
    f"{KEDA},{ZERO},{NO_ADMISSION},alerts.enabled=true,alerts.disabled={{MetricsMissing}}": (
        "alerts.disabled: has to have TaskQueueWithoutPollers with shippingWorker.autoscaling"
    ),
    "autoscaling.mode=hpa,orders.taskQueue=shop/orders": (
        'orders.taskQueue: "shop/orders" cannot be a label\'s value'
    ),
    "autoscaling.mode=hpa,orders.shippingTaskQueue=-x": 'orders.shippingTaskQueue: "-x" cannot be',
    "api.auth.open=true,api.tenantRates=shop:1": "api.tenantRates: the names are those of API keys",
    "api.httpRoute.enabled=true": "api.httpRoute.parentRefs: needed when api.httpRoute.enabled",
    "api.terminationGracePeriodSeconds=21": (
        "api.terminationGracePeriodSeconds: 21 is less than the 22 s that a drain may take"
    ),
    "orderWorker.terminationGracePeriodSeconds=1": "orderWorker.terminationGracePeriodSeconds: 1",
    "versioning.enabled=false,shippingWorker.drainSeconds=40,"
    "shippingWorker.terminationGracePeriodSeconds=46": (
        "shippingWorker.terminationGracePeriodSeconds: 46 is less than the 47 s"
    ),
}


@pytest.mark.parametrize("setting", REFUSED)
def test_refused(setting: str) -> None:
    done = helm("template", "--set", setting)
    assert done.returncode != 0
    assert REFUSED[setting] in done.stderr


def test_half_a_pod_is_refused() -> None:
    done = helm("template", values={"api": {"replicas": 1.5}})
    assert "at '/api/replicas': got number, want integer" in done.stderr


def renamed() -> Iterator[Any]:
    text = (CHART / "templates/_checks.tpl").read_text()
    found = re.search(r"\$renamed := dict\n(.*?)-}}", text, re.DOTALL)
    for old, new in re.findall(r'"(\w+)" "(.*)"', found[1] if found else ""):
        yield pytest.param(old, new, id=old)


@pytest.mark.parametrize(("old", "new"), list(renamed()))
def test_the_name_of_another_chart_is_told_by_ours(old: str, new: str) -> None:
    done = helm("template", "--set", f"{old}.any=1")
    assert f"{old}: this chart calls it {new}" in done.stderr
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for path in re.split(", | and ", new):
        inner = values
        for key in path.split("."):
            inner = inner[key]


@pytest.mark.parametrize(
    "setting",
    [
        "api.replicas=0",
        "api.podDisruptionBudget.maxUnavailable=25%",
        "api.resources.limits.cpu=2",
        "api.resources.requests.ephemeral-storage=1Gi",
        "api.podLabels.any=thing",
        "temporal.namespace.retention=72h30m",
        "postgres.parameters.work_mem=16MB",
        "api.affinity=null",
        "api.extraContainers=null,global.jobs.dnsPolicy=null,postgres.podSecurityContext=null",
        f"{KEDA},{ZERO},{NO_ADMISSION},versioning.promotion=self",
        f"{KEDA},orders.taskQueue=shop/orders",
        "shippingWorker.autoscaling.mode=hpa,orders.taskQueue=shop/orders",
        f"{KEDA},api.autoscaling.mode=cpu,orderWorker.autoscaling.mode=external",
        # No service is left that needs Prometheus.
        f"autoscaling.mode=keda,api.autoscaling.mode=cpu,{NO_WORKER_BY_KEDA}",
        f"{FROM_TEMPORAL},global.networkPolicy.enabled=false",
        f"{FROM_TEMPORAL},{CLOUD},autoscaling.keda.temporalAuthentication=x",
        f"{FROM_TEMPORAL},{THERE}",
        # Who a pod is may be told without any of the modes.
        f"{KEDA},autoscaling.prometheus.authentication=x",
        f"{KEDA},autoscaling.prometheus.authentication=x,autoscaling.prometheus.authModes=tls\\,basic",
        "api.autoscaling.behavior.scaleDown.stabilizationWindowSeconds=30",
        "api.autoscaling.behavior=null",
        # A chart that has this one as a part.
        "global.any.thing=1",
        "enabled=true",
    ],
)
def test_accepted(setting: str) -> None:
    done = helm("template", "--set", setting)
    assert done.returncode == 0, done.stderr


def numbers(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        inner = schema.get("properties", {}).get(key, {})
        if isinstance(value, dict):
            yield from numbers(value, inner, f"{path}{key}.")
        elif type(value) is int and inner.get("maximum", 10**6) >= 10**6:
            yield f"{path}{key}"


def test_a_large_number_is_not_rendered_as_a_power_of_ten() -> None:
    """A number of a values file is a float for helm, and a million then prints as 1e+06."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    large: dict[str, Any] = {}
    for path in numbers(values, schema):
        *parents, last = path.split(".")
        inner = large
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = 1_000_000
    assert large
    done = helm("template", values=large)
    assert done.returncode == 0, done.stderr
    assert "e+06" not in done.stdout
