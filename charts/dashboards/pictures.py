"""Pictures of the dashboards for the README: `python -m charts.dashboards.pictures`.

A fleet of this machine is driven for some minutes, a real Prometheus scrapes it and evaluates the
panels' queries, and matplotlib draws them. Grafana has no part in it.
"""

import argparse
import asyncio
import math
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from http import HTTPStatus
from itertools import count, cycle
from pathlib import Path
from typing import Final

from charts.dashboards.plots import Box, Drawn, Line, draw
from orderfleet.store.pool import open_pool
from orderfleet_cli.local import FleetOptions, Ports, run_fleet
from tests.e2e.support import faults
from tests.e2e.support.orders import Orders, clients, new_id
from tests.monitoring.support import mishaps
from tests.monitoring.support.panels import Panel, dashboards, panels
from tests.monitoring.support.prometheus import Prometheus, run_prometheus

FOLDER: Final = Path(__file__).parents[2] / "docs" / "pictures"
SERVICES: Final = (
    *("api", "order-worker", "order-worker-2"),
    *("shipping-worker", "shipping-worker-2"),
)
# What a day has, and what goes wrong on it.
KINDS: Final = (
    *("plain", "plain", "reply-lost", "plain", "plain", "refused-once", "plain"),
    *("declined", "plain", "slow-charge", "plain", "carrier-refuses", "plain", "flaky"),
)
_EACH: Final = 7
_STEP: Final = 2.0
_WINDOW: Final = "20s"


async def drive(orders: Orders, seconds: float, rate: float) -> None:
    """Place orders for a time, cancel some, and leave shipping without a worker for a while."""
    began = time.monotonic()
    away = asyncio.create_task(_shipping_away(orders, seconds / 2))
    placed: list[str] = []
    for number, kind in zip(count(), cycle(KINDS), strict=False):
        pause = began + number / rate - time.monotonic()
        if time.monotonic() - began > seconds:
            break
        await asyncio.sleep(max(0.0, pause))
        order_id = new_id(kind)
        answer = await orders.start(order_id)
        # While the shipping workers are away, the API may refuse orders.
        if answer.status_code != HTTPStatus.ACCEPTED:
            continue
        placed.append(order_id)
        if number % _EACH == _EACH - 1:
            await orders.cancel(placed[-2])
            await orders.http.get(f"/orders/{placed[0]}/status")
            await orders.http.get("/orders?limit=5")
            await mishaps.unknown_order(orders)
    await away


async def _shipping_away(orders: Orders, after: float) -> None:
    workers = [name for name in SERVICES if name.startswith("shipping")]
    await asyncio.sleep(after)
    await asyncio.gather(*(orders.fleet.stop(name) for name in workers))
    await asyncio.sleep(10)
    await asyncio.gather(*(orders.fleet.start(name) for name in workers))


async def lines(prometheus: Prometheus, panel: Panel, start: float, end: float) -> list[Line]:
    """Return the data of a panel."""
    found = []
    for expr, legend in panel.queries(_WINDOW):
        for series in await prometheus.query_range(expr, start, end, _STEP):
            labels = series["metric"]
            name = re.sub(r"{{(\w+)}}", lambda match: labels.get(match[1], ""), legend)  # noqa: B023  # called at once
            points = [(at, float(value)) for at, value in series["values"]]
            points = [point for point in points if math.isfinite(point[1])]
            if points:
                times, values = zip(*points, strict=True)
                found.append(Line(name, list(times), list(values)))
    return found


def place(found: Iterable[Panel]) -> list[tuple[Panel, Box]]:
    """Return the panels with their places; the repetitions of one share its width."""
    placed: list[tuple[Panel, Box]] = []
    again: dict[int, int] = {}
    for panel in found:
        box = panel.json["gridPos"]
        width = box["w"] // 2 if panel.json.get("repeat") else box["w"]
        nth = again[panel.json["id"]] = again.get(panel.json["id"], -1) + 1
        placed.append((panel, Box(box["x"] + nth * width, box["y"], width, box["h"])))
    return placed


async def render(seconds: float, rate: float) -> None:
    """Run all of it and write the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = FleetOptions(
            data=folder / "fleet",
            env=faults.ENV | {"ORDERFLEET_EXPORTER_SECONDS": "1"},
            ports=Ports.anywhere(),
            services=SERVICES,
        )
        options.data.mkdir()
        async with (
            run_fleet(options) as fleet,
            clients(fleet) as http,
            open_pool(fleet.database_url, size=2, wait_seconds=5) as pool,
            run_prometheus(fleet, folder) as prometheus,
        ):
            orders = Orders(http, pool, fleet)
            start = time.time()
            print(f"driving {rate:g} orders a second for {seconds:g} s")  # noqa: T201  # a script
            await mishaps.failing_workflow_task(orders.fleet.temporal_address)
            await drive(orders, seconds, rate)
            end = time.time()
            for name_, json in dashboards().items():
                own = [panel for panel in panels() if panel.dashboard == name_]
                drawn = [
                    Drawn(panel.title, panel.json, box, await lines(prometheus, panel, start, end))
                    for panel, box in place(own)
                ]
                rows = [
                    (one["title"], one["gridPos"]["y"])
                    for one in json["panels"]
                    if one["type"] == "row"
                ]
                draw(json["title"], drawn, rows, FOLDER / f"{name_}.png")
                print(FOLDER / f"{name_}.png")  # noqa: T201  # a script


def main() -> None:
    """Draw the dashboards, or say what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180, help="how long to drive orders")
    parser.add_argument("--rate", type=float, default=2, help="orders a second")
    arguments = parser.parse_args()
    if not shutil.which("prometheus"):
        sys.exit("make dashboards: prometheus is not on PATH: see https://prometheus.io/download/")
    asyncio.run(render(arguments.seconds, arguments.rate))


if __name__ == "__main__":
    main()
