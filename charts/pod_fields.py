"""Fields that the values set in every pod of the chart, or in those of one component.

They are not in values.yaml: a default there could not be removed by `null`, as Helm takes no `null`
for a value of `global` into its subcharts.
"""

from typing import Any, Final

_MAP: Final = {"type": ["object", "null"]}
_TEXT: Final = {"type": ["string", "null"]}


def _list_of(*required: str) -> dict[str, Any]:
    return {"type": ["array", "null"], "items": {"type": "object", "required": [*required]}}


_STRINGS: Final = _MAP | {"additionalProperties": {"type": "string"}}

# What each is, and its schema; templates/_pod.tpl has the same names.
FIELDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "podLabels": ("Labels; the chart's own win.", _STRINGS),
    "podAnnotations": ("Annotations.", _STRINGS),
    "podSecurityContext": ("Security context of the pod.", _MAP),
    "containerSecurityContext": ("Security context of the chart's own containers.", _MAP),
    "extraContainers": ("More containers, after the chart's own: sidecars.", _list_of("name")),
    "extraInitContainers": (
        "More init containers, before the chart's own; with `restartPolicy: Always`, sidecars.",
        _list_of("name"),
    ),
    "extraEnv": (
        "Environment variables of the chart's own containers; they override the chart's own.",
        _list_of("name"),
    ),
    "extraEnvFrom": (
        "ConfigMaps and Secrets for the environment; they override the chart's ConfigMap alone.",
        _list_of(),
    ),
    "extraVolumes": ("Volumes.", _list_of("name")),
    "extraVolumeMounts": (
        "Mounts of the chart's own containers.",
        _list_of("name", "mountPath"),
    ),
    "startupProbe": ("Startup probe of the main container; a Job has none.", _MAP),
    "livenessProbe": ("Liveness probe of the main container; a Job has none.", _MAP),
    "readinessProbe": ("Readiness probe of the main container; a Job has none.", _MAP),
    "nodeSelector": ("Labels a node must have.", _MAP),
    "affinity": ("Affinity.", _MAP),
    "tolerations": ("Tolerations.", _list_of()),
    "priorityClassName": ("Priority class.", _TEXT),
    "runtimeClassName": ("Runtime class, such as gVisor's.", _TEXT),
    "dnsPolicy": (
        "DNS policy.",
        {
            "type": ["string", "null"],
            "enum": ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None", "", None],
        },
    ),
    "dnsConfig": ("DNS configuration: nameservers, searches, options.", _MAP),
    "hostAliases": ("Lines of /etc/hosts.", _list_of("ip", "hostnames")),
}

# Whose pods: a component's fields win over those of every pod.
PODS: Final = (
    "global.pods",
    "global.jobs",
    "api",
    "orderWorker",
    "shippingWorker",
    "postgres",
    "temporal",
    "temporal.ui",
)


def schemas() -> dict[str, dict[str, Any]]:
    """Return the definitions of the fields for a JSON schema."""
    return {name: {"description": text, **schema} for name, (text, schema) in FIELDS.items()}


def table() -> str:
    """Return the fields as a table in Markdown."""
    rows = [f"| `{name}` | {text} |\n" for name, (text, _) in FIELDS.items()]
    return "".join(["| field | what |\n", "|---|---|\n", *rows])
