"""A real Prometheus that scrapes a fleet of this machine as it would scrape pods of a cluster."""

import asyncio
import math
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from orderfleet_cli.local import Fleet
from orderfleet_cli.local.ports import PortFinder
from tests.e2e.support.orders import eventually
from tests.monitoring.support.rules import NAMESPACE, RELEASE

Json = dict[str, Any]
Point = tuple[float, str]


def targets(fleet: Fleet) -> dict[str, str]:
    """Return the URLs of all metrics, by the component: the services' and Temporal's own."""
    found = {name: f"{url}/metrics" for name, url in fleet.probe_urls.items()}
    # The development server takes any free port for them, and says which.
    told = re.search(r"http://\S+/metrics", fleet.log("temporal").read_text())
    assert told, "Temporal does not say where its metrics are"
    return found | {"temporal": told[0]}


def labels(component: str) -> dict[str, str]:
    """Return the labels that a scrape in a cluster gives to the series of a pod."""
    service = re.sub(r"-\d+$", "", component)
    return {
        "namespace": NAMESPACE,
        "pod": f"{RELEASE}-{service}-{_hash(service, 9)}-{_hash(component, 5)}",
        "component": service,
    }


def _hash(text: str, length: int) -> str:
    # As long as Kubernetes' are.
    return sha256(text.encode()).hexdigest()[:length]


class Prometheus:
    """A running server and its queries."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def query(self, expr: str) -> list[Json]:
        """Evaluate an expression now; a number comes without labels."""
        data = await self._get("query", query=expr)
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        found: list[Json] = data["result"]
        return found

    async def numbers(self, expr: str) -> list[Json]:
        """Evaluate an expression now and leave out what is no number, as a panel does."""
        return [one for one in await self.query(expr) if not math.isnan(float(one["value"][1]))]

    async def query_range(self, expr: str, start: float, end: float, step: float) -> list[Json]:
        """Evaluate an expression over time."""
        times = {"start": start, "end": end, "step": step}
        found: list[Json] = (await self._get("query_range", query=expr, **times))["result"]
        return found

    async def up(self) -> list[Json]:
        """Return what it scraped."""
        return await self.query("up")

    async def _get(self, path: str, **parameters: Any) -> Json:
        answer = await self._http.get(f"/api/v1/{path}", params=parameters)
        assert answer.is_success, f"{parameters}: {answer.text}"
        found: Json = answer.json()["data"]
        return found


@asynccontextmanager
async def run_prometheus(
    fleet: Fleet, folder: Path, *, seconds: int = 1
) -> AsyncIterator[Prometheus]:
    """Run one until the block ends; it has scraped every process when the block begins."""
    program = shutil.which("prometheus")
    assert program, "prometheus is not on PATH"
    port = PortFinder(lambda _: None).take("Prometheus", 0)
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(_config(fleet, seconds)))
    with (folder / "prometheus.log").open("w") as log:
        child = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
        try:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=_PATIENCE
            ) as http:
                found = Prometheus(http)
                await eventually(lambda: _ready(http), bool)
                await eventually(
                    lambda: _scraped(found), lambda number: number == len(targets(fleet))
                )
                yield found
        finally:
            child.terminate()
            await child.wait()


def _config(fleet: Fleet, seconds: int) -> Json:
    return {
        # The server's own metrics have more series than those of all others together.
        "global": {"scrape_interval": f"{seconds}s", "scrape_timeout": f"{seconds}s"},
        "scrape_configs": [
            {
                "job_name": "pods",
                "static_configs": [
                    {
                        "targets": [url.split("/")[2]],
                        "labels": labels(component),
                    }
                    for component, url in targets(fleet).items()
                ],
            }
        ],
    }


async def _ready(http: httpx.AsyncClient) -> bool:
    """Tell whether it answers queries: it listens before it does."""
    try:
        return (await http.get("/-/ready")).is_success
    except httpx.TransportError:
        return False


async def _scraped(prometheus: Prometheus) -> int:
    return sum(one["value"][1] == "1" for one in await prometheus.up())


_PATIENCE: Final = 30.0
