"""The dashboards' panels, from the JSON that the chart has."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tests.monitoring.support.rules import CHART, NAMESPACE, RELEASE

Json = dict[str, Any]

QUEUES: Final = ("orders-tq", "shipping-tq")


class Panel(NamedTuple):
    """One panel, or one of its repetitions."""

    dashboard: str
    row: str
    json: Json
    values: dict[str, str]
    """Values of the dashboard's variables."""

    @property
    def title(self) -> str:
        """Its title, as Grafana shows it."""
        return filled(self.json["title"], self.values)

    @property
    def key(self) -> str:
        """Its name in a message."""
        return f"{self.dashboard}: {self.title}"

    def queries(self, window: str = "1m") -> list[tuple[str, str]]:
        """Return expressions and legends; `window` is what Grafana takes for a rate."""
        values = self.values | {"__rate_interval": window, "__range": "30m"}
        return [
            (filled(target["expr"], values), target["legendFormat"])
            for target in self.json["targets"]
        ]


def dashboards() -> dict[str, Json]:
    """Return the dashboards by the name of their file."""
    return {
        path.stem: json.loads(path.read_text()) for path in sorted(CHART.glob("dashboards/*.json"))
    }


def panels(namespace: str = NAMESPACE, release: str = RELEASE) -> Iterator[Panel]:
    """Yield all panels of a release; a repeated one once for each queue."""
    for name, found in dashboards().items():
        values = {"namespace": namespace, "release": release, "deadline": "15.0"}
        row = ""
        for panel in found["panels"]:
            if panel["type"] == "row":
                row = panel["title"]
            elif panel.get("repeat") == "queue":
                for queue in QUEUES:
                    yield Panel(name, row, panel, values | {"queue": queue})
            else:
                yield Panel(name, row, panel, values | {"queue": "|".join(QUEUES)})


def shown(legend: str) -> set[str]:
    """Return the labels that a legend shows."""
    return set(re.findall(r"{{(\w+)}}", legend))


def filled(text: str, values: dict[str, str]) -> str:
    """Put the variables' values in, as Grafana does."""
    text = text.replace("${deadline:text}", "15")
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"${name}", values[name])
    assert not re.search(r"\$\w|\$\{", text), text
    return text
