"""The gateways outside of the release, and their ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.cluster.backup.ledgers import PORT
from tests.cluster.support.cluster import Namespace
from tests.cluster.support.scripts import LABEL, run_script
from tests.images.services import ROOT
from tests.restore.gateways import Bank, Post

NAME: Final = "gateways"
URL: Final = f"http://{NAME}:{PORT}"
_SCRIPT: Final = Path(__file__).parents[1] / "ledgers.py"
_MODULES: Final = tuple(
    ROOT / path
    for path in (
        "tests/restore/gateways.py",
        "tests/support/gateways.py",
        "tests/support/http_servers.py",
    )
)


@dataclass(frozen=True)
class Ledgers:
    """What both gateways have done."""

    http: httpx.AsyncClient

    async def read(self) -> tuple[Bank, Post]:
        """Return both as they are in the pod now."""
        ledger = (await self.http.get("/ledger")).raise_for_status().json()
        bank, post = Bank(), Post()
        bank.status |= ledger["status"]
        bank.captures.update(ledger["captures"])
        post.packages |= ledger["packages"]
        post.taken |= ledger["taken"]
        return bank, post


def start_gateways(namespace: Namespace, tag: str) -> None:
    """Start them; their ledger is in their memory."""
    run_script(namespace, NAME, _SCRIPT, tag, modules=_MODULES)
    spec = {"selector": {LABEL: NAME}, "ports": [{"port": PORT}]}
    namespace.create("v1", "Service", NAME, spec=spec)
    namespace.kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=50s")


@asynccontextmanager
async def reach_ledgers(namespace: Namespace) -> AsyncIterator[Ledgers]:
    """Reach the ledger of both."""
    async with (
        namespace.forwarded(f"pod/{NAME}", PORT) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http,
    ):
        yield Ledgers(http)
