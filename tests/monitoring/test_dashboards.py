"""The dashboards' JSON: as the code makes it, as Grafana's types have it, and fit to be read."""

import copy
import json
import re
import subprocess
import sys
from collections import Counter
from typing import Any, Final

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from charts.dashboards.parts import RUNBOOKS
from tests.monitoring.support import promql
from tests.monitoring.support.panels import Json, dashboards, panels
from tests.monitoring.support.rules import ROOT, rules
from tests.monitoring.support.sdk_types import misfits

register_default_plugins()

DASHBOARDS: Final = dashboards()
PANELS: Final = {panel.key: panel for panel in panels()}
# Every API pod tells these of the whole fleet.
FLEET_WIDE: Final = {
    "orderfleet_exporter_up",
    "orderfleet_migration_failed",
    "orderfleet_oldest_pending_refund_seconds",
    "orderfleet_open_orders",
    "orderfleet_overdue_orders",
    "orderfleet_pending_refunds",
    "orderfleet_schema_version",
    "orderfleet_task_queue_backlog",
    "orderfleet_task_queue_backlog_age_seconds",
    "orderfleet_task_queue_pollers",
}

each_dashboard = pytest.mark.parametrize("name", DASHBOARDS)
each_panel = pytest.mark.parametrize("key", PANELS)


def test_the_files_are_what_the_code_makes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "charts.dashboards", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def wrong(found: Json) -> list[str]:
    """Tell what of a dashboard Grafana's SDK does not know or has another type for."""
    decoded = Dashboard.from_json(copy.deepcopy(found))
    again = json.loads(json.dumps(decoded, cls=JSONEncoder))
    return [*misfits(decoded, Dashboard), *_lost(found, again)]


def _lost(before: Any, after: Any, path: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [
            one for key in keys for one in _lost(before.get(key), after.get(key), f"{path}.{key}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            one
            for index, (left, right) in enumerate(zip(before, after, strict=True))
            for one in _lost(left, right, f"{path}[{index}]")
        ]
    return [] if before == after else [f"{path}: {before!r} is read as {after!r}"]


@each_dashboard
def test_all_of_it_is_what_grafanas_types_have(name: str) -> None:
    assert wrong(DASHBOARDS[name]) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("titel",), "Fleet"),
        (("graphTooltip",), 7),
        (("panels", 1, "gridPos", "h"), "8"),
        (("panels", 1, "options", "colorMode"), "rainbow"),
        (("panels", 1, "fieldConfig", "defaults", "unitt"), "s"),
        (("panels", 8, "options", "legend", "placement"), "top"),
        (("panels", 8, "targets", 0, "exprr"), "up"),
        (("templating", "list", 1, "refresh"), "always"),
    ],
)
def test_the_types_see_what_is_wrong(path: tuple[str | int, ...], value: Any) -> None:
    found: Any = copy.deepcopy(DASHBOARDS["fleet"])
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert wrong(found)


@each_dashboard
def test_it_asks_for_data_source_namespace_and_release(name: str) -> None:
    found = DASHBOARDS[name]
    variables = [variable["name"] for variable in found["templating"]["list"]]
    assert variables[:3] == ["datasource", "namespace", "release"]
    used = set(re.findall(r"\$(?!__)\{?(\w+)", json.dumps([found["panels"], found["templating"]])))
    assert used == set(variables)
    assert found["uid"] == f"orderfleet-{name}"


@each_dashboard
def test_panels_do_not_overlap_and_have_ids_of_their_own(name: str) -> None:
    cells: Counter[tuple[int, int]] = Counter()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                cells[x, y] += 1
    assert set(cells.values()) == {1}
    ids = [panel["id"] for panel in DASHBOARDS[name]["panels"]]
    assert len(ids) == len(set(ids))


@each_panel
def test_it_can_be_read(key: str) -> None:
    panel = PANELS[key].json
    assert panel["type"] in {"stat", "timeseries"}
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in vars(units).values()
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        assert target["legendFormat"] or panel["type"] == "stat"
        # Several series need a name each.
        several = re.search(
            r"^(topk\(5, )?(histogram_quantile\([^,]+, )?\w+ by \(([^)]+)\)", target["expr"]
        )
        if several and several[3] not in {"le", "worker_type"} and panel["type"] != "stat":
            assert "{{" in target["legendFormat"]


@each_panel
def test_its_runbooks_are_there(key: str) -> None:
    for link in PANELS[key].json.get("links", []):
        name = link["title"].removeprefix("Runbook: ")
        assert link["url"] == f"${{runbooks}}/{name}.md"
        assert name in rules()
        assert (ROOT / RUNBOOKS / f"{name}.md").is_file()


@pytest.mark.parametrize(
    ("where", "expr"),
    [(key, expr) for key, panel in PANELS.items() for expr, _ in panel.queries()]
    + [(name, rule["expr"]) for name, rule in rules().items()],
)
def test_what_all_api_pods_tell_alike_is_never_added_up(where: str, expr: str) -> None:
    for selector in promql.selectors(expr):
        if selector.name in FLEET_WIDE:
            around = rf"max( by \([^)]+\) )? ?\({selector.name}{{"
            assert len(re.findall(around, expr)) == expr.count(f"{selector.name}{{")


def test_the_documentation_lists_every_panel() -> None:
    text = (ROOT / "docs/dashboards.md").read_text()
    for name, found in DASHBOARDS.items():
        section = text.split(f"### {found['title'].removeprefix('Orderfleet / ')}\n")[1]
        section = section.split("\n### ")[0].split("\n## ")[0]
        rows = [panel["title"] for panel in found["panels"] if panel["type"] == "row"]
        assert re.findall(r"^- \*\*(.+?)\*\*:", section, re.MULTILINE) == rows, name
