"""All dashboards and their JSON."""

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from charts.dashboards import api, fleet, orders, servers

FOLDER: Final = Path(__file__).parents[1] / "orderfleet" / "dashboards"


def dashboards() -> dict[str, Dashboard]:
    """Return the dashboards by the name of their file."""
    return {
        "fleet": fleet.build(),
        "orders": orders.build(),
        "api": api.build(),
        "temporal-postgres": servers.build(),
    }


def texts() -> dict[str, str]:
    """Return the JSON files' contents by their names; keys are sorted: a change is a small diff."""
    return {
        f"{name}.json": json.dumps(
            builder.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False
        )
        + "\n"
        for name, builder in dashboards().items()
    }
