"""The servers of strict_servers.py in a pod, and the credentials that they admit."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.scripts import LABEL, run_script
from tests.cluster.support.shop import eventually
from tests.images.services import ROOT
from tests.support.certificates import Pair, make_pair

NAME: Final = "strict"
_SCRIPT: Final = Path(__file__).parents[1] / "strict_servers.py"
_MODULES: Final = tuple(
    ROOT / "tests/support" / f"{name}.py"
    for name in ("gateways", "guarded_temporal", "http_servers")
)
_PORTS: Final = {"frontend": 7233, "gateway": 8080}
# Every pod calls Temporal at least every 3 s, for the fleet's metrics or for tasks.
_UNUSED_SECONDS: Final = 4.0
_CHANGE_SECONDS: Final = 60.0


class Certificates:
    """Two authorities, each with a server's certificate and a client's."""

    def __init__(self, directory: Path) -> None:
        self.authorities = [make_pair(directory, f"authority-{number}") for number in (1, 2)]
        self.servers, self.clients = (
            [
                make_pair(directory, f"{role}-{number}", authority, host=f"DNS:{NAME}")
                for number, authority in enumerate(self.authorities, 1)
            ]
            for role in ("server", "client")
        )

    def authority(self, *numbers: int) -> str:
        """Return the certificates of authorities, as a file has them."""
        chosen = (self.authorities[number - 1] for number in numbers)
        return "".join(pair.certificate.read_text() for pair in chosen)

    def client(self, number: int) -> dict[str, str]:
        """Return the values of a Secret of type tls."""
        return _texts(self.clients[number - 1], "tls.crt", "tls.key")

    def server(self, number: int) -> dict[str, str]:
        """Return the rules of the frontend's own certificate."""
        return _texts(self.servers[number - 1], "certificate", "private_key")


def _texts(pair: Pair, certificate: str, key: str) -> dict[str, str]:
    return {certificate: pair.certificate.read_text(), key: pair.key.read_text()}


class StrictServers:
    """The running servers."""

    def __init__(self, http: httpx.AsyncClient, rules: Json) -> None:
        self._http = http
        self._rules = rules

    async def admit(self, **rules: Any) -> None:
        """Change some of the rules."""
        self._rules = self._rules | rules
        (await self._http.put("/rules", json=self._rules)).raise_for_status()

    async def used(self) -> dict[str, float]:
        """Return the seconds since each credential was used."""
        used: dict[str, float] = (await self._http.get("/used")).json()
        return used

    async def until_replaced(self, old: str, new: str) -> None:
        """Wait until every process uses the new credential."""
        await eventually(
            f"{new} in place of {old}",
            self.used,
            lambda used: new in used and used[old] > _UNUSED_SECONDS > used[new],
            _CHANGE_SECONDS,
        )


def start_strict_servers(namespace: Namespace, tag: str, temporal: str, rules: Json) -> None:
    """Start the servers in front of a Temporal."""
    env = [
        {"name": "TEMPORAL", "value": temporal},
        {"name": "RULES", "value": json.dumps(rules)},
    ]
    run_script(namespace, NAME, _SCRIPT, tag, env=env, modules=_MODULES)
    ports = [{"name": name, "port": port} for name, port in _PORTS.items()]
    namespace.create("v1", "Service", NAME, spec={"selector": {LABEL: NAME}, "ports": ports})


@asynccontextmanager
async def reach_strict_servers(namespace: Namespace, rules: Json) -> AsyncIterator[StrictServers]:
    """Reach the control of the servers, which follow these rules now."""
    async with (
        namespace.forwarded(f"pod/{NAME}", _PORTS["gateway"]) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http,
    ):
        yield StrictServers(http, rules)
