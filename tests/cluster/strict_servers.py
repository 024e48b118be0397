"""A frontend of Temporal and a payment gateway that both require credentials; runs in a pod.

The frontend (port 7233) requires a client certificate and an API key, and passes calls on to
TEMPORAL. The gateway (port 8080) requires a token. What is valid comes as JSON by `PUT /rules` on
the gateway's port, at first in RULES: `keys` and `tokens`, and in PEM the frontend's `certificate`
and `private_key`, and `trusted`, the authorities of clients. The next call has to keep new rules of
keys and tokens, the next connection those of certificates; a connection gets no calls after 5 s.
`GET /used` has the seconds since each credential was last used, and the number of refused calls.
"""

import asyncio
import json
import os
import time
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]

from tests.support.gateways import PaymentGateway
from tests.support.guarded_temporal import GuardedTemporal

_FRONTEND_PORT: Final = 7233
_GATEWAY_PORT: Final = 8080
_CONNECTION_AGE_MS: Final = 5000

_CHANGE_SECONDS: Final = 10.0

Rules = dict[str, Any]
Certificates = tuple[bytes, ...]


class Frontend:
    """The frontend; other certificates are another server on its port."""

    def __init__(self, channel: Any, rules: Rules) -> None:
        self.guard = GuardedTemporal(channel, rules["keys"])
        self._loop = asyncio.get_running_loop()
        self._certificates: Certificates = ()
        self._server: Any = None

    def follow(self, rules: Rules) -> None:
        """Follow new rules; called in another thread than the loop's."""
        asyncio.run_coroutine_threadsafe(self.take(rules), self._loop).result(_CHANGE_SECONDS)

    async def take(self, rules: Rules) -> None:
        """Take other keys at once; certificates with the next connection."""
        self.guard.keys = rules["keys"]
        certificates = tuple(
            rules[name].encode() for name in ("private_key", "certificate", "trusted")
        )
        if certificates == self._certificates:
            return
        # Not gRPC's own way to change certificates: with asyncio it has crashed the process.
        server = await self._start(*certificates)
        if self._server is not None:
            await self._server.stop(grace=_CHANGE_SECONDS / 2)
        self._certificates, self._server = certificates, server

    async def _start(self, private_key: bytes, certificate: bytes, trusted: bytes) -> Any:
        # As Temporal's own frontend does, and more often: connections end by age, and no call with
        # them.
        server = grpc.aio.server(options=[("grpc.max_connection_age_ms", _CONNECTION_AGE_MS)])
        server.add_generic_rpc_handlers((self.guard,))
        credentials = grpc.ssl_server_credentials(
            [(private_key, certificate)], trusted, require_client_auth=True
        )
        server.add_secure_port(f"0.0.0.0:{_FRONTEND_PORT}", credentials)
        await server.start()
        return server


class Servers:
    """Both servers, and the control of both."""

    def __init__(self, frontend: Frontend, tokens: Collection[str]) -> None:
        self.gateway = PaymentGateway()
        self._frontend = frontend
        self._guard = frontend.guard
        self._tokens = tokens
        self._refused = 0

    def follow(self, rules: Rules) -> None:
        self._tokens = rules["tokens"]
        self._frontend.follow(rules)

    def used(self) -> dict[str, float]:
        now = time.monotonic()
        ago = {name: now - used for name, used in self._guard.used.items()}
        return ago | {"refused": self._refused + self._guard.refused}

    def admits(self, token: str) -> bool:
        self._guard.used[token] = time.monotonic()
        admitted = token in self._tokens
        self._refused += not admitted
        return admitted


def _handler(servers: Servers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == "/used":
                self._answer(200, servers.used())
            else:
                self._call_gateway({})

        def do_PUT(self) -> None:
            servers.follow(self._body())
            self._answer(200, {})

        def do_POST(self) -> None:
            self._call_gateway(self._body())

        def log_message(self, *_: object) -> None:
            pass

        def _call_gateway(self, body: Rules) -> None:
            token = self.headers.get("authorization", "").removeprefix("Bearer ")
            if servers.admits(token):
                path = [unquote(part) for part in self.path.strip("/").split("/")]
                self._answer(*servers.gateway.reply(self.command, path, body))
            else:
                self._answer(401, {})

        def _body(self) -> Rules:
            data = self.rfile.read(int(self.headers["content-length"]))
            body: Rules = json.loads(data) if data else {}
            return body

        def _answer(self, status: int, document: Rules) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


async def main() -> None:
    """Serve until the pod ends."""
    rules = json.loads(os.environ["RULES"])
    async with grpc.aio.insecure_channel(os.environ["TEMPORAL"]) as channel:
        frontend = Frontend(channel, rules)
        await frontend.take(rules)
        servers = Servers(frontend, rules["tokens"])
        # No address of the pod is known here.
        address = ("0.0.0.0", _GATEWAY_PORT)  # noqa: S104
        await asyncio.to_thread(ThreadingHTTPServer(address, _handler(servers)).serve_forever)


if __name__ == "__main__":
    asyncio.run(main())
