"""Write the chart's values.schema.json and its README's tables, or check them (`--check`).

Bitnami's readme-generator makes both from values.yaml and its comments. The generator's schema
accepts nearly everything, so this script tightens the schema; docs/decisions/0007 explains why.
"""

import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from functools import reduce
from operator import getitem
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pod_fields
import yaml

CHARTS = Path(__file__).parent
CHART = CHARTS / "orderfleet"
TOOL = CHARTS / "node_modules/.bin/readme-generator"
MADE = ("README.md", "values.schema.json")

PORT = {"minimum": 1, "maximum": 65535}
# The bounds of the services' settings: beyond them a pod would not start.
SECONDS = {"minimum": 0, "maximum": 3600}
COUNT = {"minimum": 1, "maximum": 100_000}
QUANTITY = {
    "type": ["string", "number"],
    "pattern": "^[0-9.]+(m|k|[KMGTPE]i?)?$",
    "exclusiveMinimum": 0,
}
MODE = "(apiKey|basic|bearer|custom|oauth|tls)"
RATE = r"[A-Za-z0-9._-]{1,64}:[0-9]{1,6}(\.[0-9]{1,6})?(:[0-9]{1,6})?"
NAMED = {"items": {"type": "object", "required": ["name"]}}
# Constraints that a type does not express. The first rule whose pattern matches the path applies.
RULES: dict[str, dict[str, Any]] = {
    "global.imagePullSecrets": NAMED,
    "global.revisionHistoryLimit": {"minimum": 0, "maximum": 1000},
    "extraObjects": {"items": {"type": ["object", "string"]}},
    "*.extraEnv": NAMED,
    "global.encryption.plainPayloads": {"enum": ["read", "refuse"]},
    "global.encryption.codec.endpoint": {"pattern": "^(https?://.+[^/])?$"},
    "global.encryption.codec.uiOrigin": {"pattern": "^(https?://[^/]+)?$"},
    "logLevel": {"enum": ["debug", "info", "warning", "error"]},
    "orders.deadlineSeconds": {"type": "number", "minimum": 1, "maximum": 3600},
    "versioning.promotion": {"enum": ["gate", "self", "none"]},
    # All new orders are no ramp: nothing would be left to compare with.
    "versioning.gate.percent": {"type": "number", "minimum": 1, "maximum": 50},
    "versioning.gate.leastOrders": COUNT,
    # Kubernetes counts whole seconds.
    "versioning.gate.keepSeconds": {"minimum": 0, "maximum": 2_592_000},
    "*.replicas": {"minimum": 0, "maximum": 10_000},
    # An API without pods exports no metric of demand, so it would stay at 0.
    "api.autoscaling.minReplicas": {"minimum": 1, "maximum": 10_000},
    "*.minReplicas": {"minimum": 0, "maximum": 10_000},
    "*.maxReplicas": {"minimum": 1, "maximum": 10_000},
    "autoscaling.mode": {"enum": ["none", "keda", "hpa", "external"]},
    # The templates refuse cpu for a worker, with the reason.
    "*.autoscaling.mode": {"enum": ["", "none", "keda", "hpa", "cpu", "external"]},
    "autoscaling.prometheus.address": {"pattern": "^(https?://.+)?$"},
    "autoscaling.prometheus.authModes": {"pattern": f"^({MODE}(,{MODE})*)?$"},
    # KEDA accepts only whole seconds.
    "autoscaling.keda.pollingSeconds": {"minimum": 1, "maximum": 3600},
    "autoscaling.keda.cooldownSeconds": SECONDS,
    "autoscaling.keda.backlogFrom": {"enum": ["prometheus", "temporal"]},
    "*.slotTargetPercent": {"minimum": 1, "maximum": 100},
    "*.backlogTarget": COUNT,
    "*.coreTargetPercent": {"minimum": 1, "maximum": 100},
    "*.requestsTarget": COUNT,
    "*.repository": {"minLength": 1},
    "*.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "*.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "*.port": PORT,
    "api.service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "api.*.path": {"pattern": "^/"},
    "api.links.temporalUi": {"pattern": r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$"},
    "api.links.trace": {"pattern": r"^(https?://[^\s/]\S*\{trace_id\}\S*)?$"},
    "api.tenantRates": {"pattern": f"^({RATE}(,{RATE})*)?$"},
    "api.ingress.hosts": {"items": {"type": "string", "minLength": 1}},
    "api.httpRoute.hostnames": {"items": {"type": "string", "minLength": 1}},
    "*.terminationGracePeriodSeconds": {"minimum": 0, "maximum": 86400},
    "*.waitSeconds": {"minimum": 1, "maximum": 3600},
    # The kubelet sleeps, in whole seconds.
    "*.preStopSeconds": SECONDS,
    "*.forgetAfterDays": {"type": "number", "minimum": 0, "maximum": 36_500},
    "backup.maxAgeSeconds": {"minimum": 60, "maximum": 31_536_000},
    "*Seconds": SECONDS | {"type": "number"},
    "*.databasePoolSize": COUNT,
    # A worker with 1 slot starves: the sticky queue's pollers would hold that slot.
    "*.workflowSlots": COUNT | {"minimum": 2},
    "*.*Slots": COUNT,
    "*.cachedWorkflows": {"minimum": 0, "maximum": 1_000_000},
    "*.paymentGatewayUrl": {"pattern": "^(https?://.+)?$"},
    "*.carrierUrl": {"pattern": "^(https?://.+)?$"},
    # A pod may have more resources than values.yaml names: CPU limits, ephemeral-storage.
    "*.resources.requests": {"additionalProperties": QUANTITY},
    "*.resources.limits": {"additionalProperties": QUANTITY},
    "*.resources.*": QUANTITY,
    "*.maxUnavailable": {
        "type": ["integer", "string"],
        "pattern": "^[0-9]+%$",
        "minimum": 0,
        "maximum": 10_000,
    },
    "postgres.hosts": {"items": {"type": "string", "pattern": r"^[^\s,/@?]+$"}},
    "postgres.sslMode": {"enum": ["disable", "require", "verify-ca", "verify-full"]},
    "*.persistence.size": {"pattern": "^[0-9.]+([kMGTPE]i?)?$"},
    "backup.s3.bucket": {"pattern": "^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$"},
    "backup.s3.prefix": {"pattern": r"^([\w.-]+(/[\w.-]+)*)?$"},
    "backup.s3.endpoint": {"pattern": r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$"},
    "traces.protocol": {"enum": ["grpc", "http/protobuf"]},
    "traces.endpoint": {"pattern": "^(https?://.+)?$"},
    "dashboards.label": {"minLength": 1},
    "podMonitor.interval": {"pattern": "^(([0-9]+(ms|s|m|h))+)?$"},
    "temporal.namespace.name": {"minLength": 1},
    "temporal.namespace.retention": {"pattern": "^([0-9]+(h|m|s))+$"},
    "temporal.historyShards": {"minimum": 1, "maximum": 16384},
    "temporal.postgres.maxConnections": COUNT,
    "temporal.logLevel": {"enum": ["debug", "info", "warn", "error"]},
}
# Keys besides those of values.yaml: a parent chart may switch this chart on or off by `enabled`,
# and Helm adds `global` to the values of a subchart.
ALSO = {"": ["enabled"], "postgres": ["global"], "temporal": ["global"]}
# This template refuses value names of other charts, with a sentence that has this chart's name.
CHECKS = CHART / "templates/_checks.tpl"
POD_FIELDS = "<!-- pod fields: made by `make chart-docs` -->"
TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def tighten(values: dict[str, Any], made: dict[str, Any], free: dict[str, str]) -> dict[str, Any]:
    """Return the schema that rejects values that the templates cannot use.

    Args:
        values: the defaults.
        made: the tool's schema of the defaults, which has the descriptions.
        free: the paths of the objects that may have any keys, with their descriptions.
    """
    unused = set(RULES)

    def walk(value: Any, found: dict[str, Any], path: str) -> dict[str, Any]:
        rule = next((rule for rule in RULES if fnmatchcase(path, rule)), None)
        unused.discard(rule or "")
        extra = RULES[rule] if rule else {}
        text = free.get(path) or found.get("description")
        head = {"description": text} if text else {}
        if path in free and isinstance(value, dict) and path not in pod_fields.PODS:
            return {"type": "object", **head, "default": value}
        if isinstance(value, dict):
            inner = found.get("properties", {})
            properties = {
                key: walk(value[key], inner.get(key, {}), f"{path}.{key}".lstrip("."))
                for key in value
            }
            for key in [*ALSO.get(path, []), *([] if path else _renamed())]:
                properties.setdefault(key, {})
            for key in pod_fields.FIELDS if path in pod_fields.PODS else ():
                properties.setdefault(key, {"$ref": f"#/definitions/{key}"})
            closed = {"type": "object", "additionalProperties": path == "global"}
            return closed | {"properties": properties} | extra
        kind = "array" if isinstance(value, list) else TYPES[type(value)]
        return {"type": kind, **head, "default": value, **extra}

    schema = walk(values, made, "")
    if unused:
        sys.exit(f"charts/schema.py: no value has a path like {', '.join(sorted(unused))}")
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
    return draft | schema | {"definitions": pod_fields.schemas()}


def make(directory: Path) -> None:
    """Write both files into a directory."""
    if not TOOL.exists():
        sys.exit(f"{TOOL.relative_to(CHARTS.parent)} is missing: make chart-docs")
    shutil.copy(CHART / "README.md", directory)
    readme, schema = (directory / name for name in MADE)
    source = CHART / "values.yaml"
    done = subprocess.run(
        [TOOL, "--values", source, "--readme", readme, "--schema", schema],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"charts/orderfleet/values.yaml: {done.stdout}{done.stderr}")
    text = source.read_text()
    values = yaml.safe_load(text)
    free = dict(re.findall(r"^## @param (\S+) \[object[^]]*\] (.*)", text, re.MULTILINE))
    made = tighten(values, json.loads(schema.read_text()), free)
    schema.write_text(json.dumps(made, indent=2) + "\n")
    table = readme.read_text()
    for path in re.findall(r"^## @param (\S+) \[(?:object|array)\]", text, re.MULTILINE):
        table = table.replace(*_row(table, path, reduce(getitem, path.split("."), values)))
    before, mark, rest = table.partition(POD_FIELDS)
    if not mark:
        sys.exit(f"charts/orderfleet/README.md has no line {POD_FIELDS}")
    after = rest[rest.index("<!-- /pod fields -->") :]
    table = f"{before}{mark}\n\n{pod_fields.table()}\n{after}"
    # The tool ends some lines with a carriage return.
    readme.write_text("\n".join(table.splitlines()).rstrip() + "\n")


def _renamed() -> list[str]:
    renamed = re.search(r"\$renamed := dict\n(.*?)-}}", CHECKS.read_text(), re.DOTALL)
    if renamed is None:
        sys.exit(f"{CHECKS}: $renamed is not where it was")
    return re.findall(r'^ *"(\w+)"', renamed[1], re.MULTILINE)


def _row(table: str, path: str, default: Any) -> tuple[str, str]:
    # The tool shows every object and array as empty.
    found = re.search(rf"^\| `{re.escape(path)}` .*", table, re.MULTILINE)
    if found is None:
        sys.exit(f"charts/orderfleet/values.yaml: {path} is in no section")
    row = found[0].rstrip()
    rest, _ = row.rsplit(" | ", 1)
    shown = f"`{json.dumps(default)}`".replace("|", r"\|")
    return row, f"{rest} | {shown:{len(row) - len(rest) - 5}} |"


def main() -> None:
    """Write both files, or with `--check` exit with 1 if a file is out of date."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        make(directory)
        for made in MADE:
            new, old = directory / made, CHART / made
            if "--check" not in sys.argv[1:]:
                shutil.copy(new, old)
            elif not old.exists() or new.read_text() != old.read_text():
                sys.exit(f"charts/orderfleet/{made} is out of date: make chart-docs")


if __name__ == "__main__":
    main()
