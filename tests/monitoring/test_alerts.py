"""Each alert fires when it must and is silent when it must not: `promtool test rules`."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.monitoring.support.promtool import run_tests
from tests.monitoring.support.rules import CHART, ROOT, Rule, grouped, rules

ALERTS: Final = rules()
TESTS: Final = Path(__file__).parent / "alerts"
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
SECTIONS: Final = ["Meaning", "Impact", "Diagnosis", "Mitigation"]

each_alert = pytest.mark.parametrize("name", ALERTS)


def promtool(folder: Path, rule: Rule, name: str) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yaml").write_text(grouped(rule))
    (folder / "test.yaml").write_text((TESTS / f"{name}.yaml").read_text())
    return run_tests(folder)


@pytest.mark.needs("promtool")
@each_alert
def test_it_fires_when_it_must_and_is_silent_when_it_must_not(name: str, tmp_path: Path) -> None:
    done = promtool(tmp_path, ALERTS[name], name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("promtool")
@each_alert
@pytest.mark.parametrize("expr", ["vector(1)", "vector(1) > 1"], ids=["always", "never"])
def test_its_test_sees_a_rule_that_fires_always_or_never(
    name: str, expr: str, tmp_path: Path
) -> None:
    done = promtool(tmp_path, ALERTS[name] | {"expr": expr}, name)
    assert done.returncode == 1, done.stdout + done.stderr


@pytest.mark.needs("promtool")
@each_alert
def test_it_looks_at_its_own_release_alone(name: str, tmp_path: Path) -> None:
    wider = re.sub(r'namespace="[^"]+", ', "", ALERTS[name]["expr"])
    wider = re.sub(r'pod=~"shop-', 'pod=~".*shop-(2-)?', wider)
    assert promtool(tmp_path, ALERTS[name] | {"expr": wider}, name).returncode == 1


@pytest.mark.needs("promtool")
def test_promtool_finds_no_fault_in_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(grouped(*ALERTS.values()))
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_file_has_one_alert_of_its_name_and_a_test_of_its_name() -> None:
    assert list(ALERTS) == [rule["alert"] for rule in ALERTS.values()]
    assert sorted(ALERTS) == sorted(path.stem for path in TESTS.glob("*.yaml"))


@each_alert
def test_its_test_has_both_cases(name: str) -> None:
    cases = [
        case
        for test in yaml.safe_load((TESTS / f"{name}.yaml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    assert {case["alertname"] for case in cases} == {name}
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}


@each_alert
def test_it_tells_severity_summary_and_description(name: str) -> None:
    rule = ALERTS[name]
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description"}
    # What the chart would not put in.
    assert not re.search(r"\$(?!labels\b|value\b)", str(rule))
    # Why it is as it is stands above it.
    assert (CHART / f"alerts/{name}.yaml").read_text().startswith("# ")


@each_alert
def test_its_runbook_tells_what_to_do(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)", text, re.MULTILINE) == SECTIONS
    diagnosis = text.split("## Diagnosis")[1].split("## Mitigation")[0]
    assert re.search(r"^```sh$", diagnosis, re.MULTILINE), "no command"


def test_no_runbook_is_left_over_and_all_are_listed() -> None:
    assert sorted(ALERTS) == sorted(path.stem for path in RUNBOOKS.glob("*.md"))
    listed = (ROOT / "docs/dashboards.md").read_text()
    assert re.findall(r"\]\(runbooks/(\w+)\.md\)", listed) == list(ALERTS)
