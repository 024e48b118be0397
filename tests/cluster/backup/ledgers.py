"""A payment gateway and a carrier that no restore touches; runs in a pod.

Both serve port 8080, with the images' Python and modules of the tests. `GET /ledger` has as JSON
what really happened: captures, statuses, packages and whose they are.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote

from tests.restore.gateways import Bank, Post

PORT: Final = 8080
_BANK: Final = Bank()
_POST: Final = Post()


class Handler(BaseHTTPRequestHandler):
    """Hands a request to the gateway whose path it has."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Look up, list, or show the ledger."""
        if self.path == "/ledger":
            self._answer(200, ledger())
        else:
            self._ask({})

    def do_POST(self) -> None:
        """Charge, dispatch, or undo."""
        data = self.rfile.read(int(self.headers["content-length"]))
        self._ask(json.loads(data) if data else {})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _ask(self, body: dict[str, Any]) -> None:
        path = [unquote(part) for part in self.path.strip("/").split("/")]
        gateway = _POST if path[0] == _POST.root else _BANK
        gateway.before(self)
        self._answer(*gateway.reply(self.command, path, body))

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def ledger() -> dict[str, Any]:
    """Return what both have done."""
    with _BANK.lock, _POST.lock:
        return {
            "captures": {order: [*keys] for order, keys in _BANK.captures.items()},
            "status": {**_BANK.status},
            "packages": {**_POST.packages},
            "taken": {**_POST.taken},
        }


def main() -> None:
    """Serve until the pod is deleted."""
    with ThreadingHTTPServer(("", PORT), Handler) as server:
        server.daemon_threads = True
        server.serve_forever()


if __name__ == "__main__":
    main()
