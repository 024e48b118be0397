"""The Temporal of `make up` has the settings of the chart's own Temporal."""

from pathlib import Path
from typing import Final

import yaml

from orderfleet_cli.local.temporal import DYNAMIC_CONFIG

_VALUES: Final = Path(__file__).parents[3] / "charts" / "orderfleet" / "values.yaml"


def test_its_dynamic_settings_are_the_charts() -> None:
    chart = yaml.safe_load(_VALUES.read_text())["temporal"]["dynamicConfig"]
    assert {name: values[0]["value"] for name, values in chart.items()} == DYNAMIC_CONFIG
    assert all(len(values) == 1 for values in chart.values())
