"""Write the tables of docs/settings.md from the settings classes, or check it (`--check`)."""

import re
from pathlib import Path

from docs.generated import write_or_check
from orderfleet.environment import Row, Settings
from orderfleet.runtime.gate import GateSettings
from orderfleet.runtime.migrate import MigrateSettings
from orderfleet.settings import CommonSettings, ServiceSettings, WorkerSettings
from orderfleet_api.settings import ApiSettings
from orderfleet_cli.settings import BackupSettings, ClientSettings
from orderfleet_order_worker.settings import OrderWorkerSettings
from orderfleet_shipping_worker.settings import ShippingWorkerSettings

PAGE = Path(__file__).parent / "settings.md"
PLACE = re.compile(r"(<!-- settings: .*? -->\n).*?(<!-- /settings -->)", re.DOTALL)
SECTIONS: list[tuple[str, type[Settings], type[Settings]]] = [
    ("Every process", CommonSettings, Settings),
    ("API and workers: traces", ServiceSettings, CommonSettings),
    ("API", ApiSettings, ServiceSettings),
    ("Both workers", WorkerSettings, ServiceSettings),
    ("Order worker", OrderWorkerSettings, WorkerSettings),
    ("Shipping worker", ShippingWorkerSettings, WorkerSettings),
    ("`orderfleet-order-gate`, `orderfleet-shipping-gate`", GateSettings, CommonSettings),
    ("`orderfleet-migrate`", MigrateSettings, CommonSettings),
    ("The command `orderfleet`", ClientSettings, Settings),
    ("`orderfleet backup` and `orderfleet restore`", BackupSettings, Settings),
]


def table() -> str:
    """Return the whole table as Markdown."""
    lines = []
    for title, cls, base in SECTIONS:
        inherited = {row.names for row in base.rows()}
        rows = [row for row in cls.rows() if row.names not in inherited]
        lines += [f"**{title}**", "", "| variable | default | unit | what |", "|---|---|---|---|"]
        lines += [_line(row) for row in rows]
        lines.append("")
    return "\n".join(lines)


def _line(row: Row) -> str:
    names = ", ".join(f"`{name}`" for name in row.names)
    default = f"`{row.default}`" if row.default else "empty"
    return f"| {names} | {default} | {row.unit} | {row.doc} |"


if __name__ == "__main__":
    filled = PLACE.sub(lambda match: f"{match[1]}\n{table()}\n{match[2]}", PAGE.read_text())
    write_or_check(PAGE, filled)
