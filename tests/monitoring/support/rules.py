"""The alerts as the chart's files have them, and as a release has them."""

from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[3]
CHART: Final = ROOT / "charts" / "orderfleet"
NAMESPACE: Final = "shop"
RELEASE: Final = "shop"
DEADLINE: Final = "15"
BACKUP_AGE: Final = "93600"
# Of kube-state-metrics, which neither the fleet nor the tests' clusters have.
OF_THE_CLUSTER: Final = frozenset({"BackupTooOld"})

Rule = dict[str, Any]


def rules(namespace: str = NAMESPACE, release: str = RELEASE) -> dict[str, Rule]:
    """Return the rules of a release, by the name of their file."""
    return {
        path.stem: yaml.safe_load(filled(path.read_text(), namespace, release))
        for path in sorted(CHART.glob("alerts/*.yaml"))
    }


def filled(text: str, namespace: str, release: str) -> str:
    """Put a release in, as templates/monitoring/alerts.yaml does."""
    for name, value in (
        ("$namespace", namespace),
        ("$release", release),
        ("$deadline", DEADLINE),
        ("$backupAge", BACKUP_AGE),
    ):
        text = text.replace(name, value)
    return text


def grouped(*found: Rule) -> str:
    """Return rules as a file of Prometheus."""
    text: str = yaml.safe_dump({"groups": [{"name": "orderfleet", "rules": list(found)}]})
    return text
