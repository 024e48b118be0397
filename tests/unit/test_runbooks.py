"""Every command of the runbooks has a place where a test runs it: tests/e2e or tests/cluster."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.runbooks import RUNBOOKS, Command, Place, commands

_ROOT = Path(__file__).parents[2]
_ALERTS = _ROOT / "charts" / "orderfleet" / "alerts"


def test_every_alert_has_a_runbook_with_commands() -> None:
    alerts = {path.stem for path in _ALERTS.glob("*.yaml")}
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == alerts
    assert {command.runbook for command in commands()} == alerts


@pytest.mark.parametrize("command", commands(), ids=str)
def test_a_command_is_whole_and_of_the_fleets_namespace(command: Command) -> None:
    assert "..." not in command.text
    # Nobody's own namespace is the fleet's.
    if command.text.startswith("kubectl"):
        assert command.text.startswith("kubectl -n NAMESPACE ")
    if command.text.startswith("helm"):
        assert command.text.startswith("helm -n NAMESPACE ")


def test_all_places_are_known() -> None:
    assert {command.place for command in commands()} == set(Place)


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_value_that_is_named_is_the_charts(path: Path) -> None:
    values: Any = yaml.safe_load((_ROOT / "charts" / "orderfleet" / "values.yaml").read_text())
    for name in re.findall(r"--set ([A-Za-z.]+)=", path.read_text()):
        found = values
        for part in name.split("."):
            assert part in found, name
            found = found[part]
