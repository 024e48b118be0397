"""A collector of spans by OTLP over HTTP that keeps and returns the requests unchanged.

Runs in a pod, with the standard library. POST /v1/traces takes spans, GET / returns all of them: a
JSON list of requests, each in base64.
"""

import json
from base64 import b64encode
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

PORT: Final = 4318
_REQUESTS: Final[list[str]] = []


class Handler(BaseHTTPRequestHandler):
    """Receives and returns spans."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Keep spans; in OTLP an empty answer means success."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            _REQUESTS.append(b64encode(body).decode())
            self._answer(HTTPStatus.OK, "application/x-protobuf", b"")
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", self.path.encode())

    def do_GET(self) -> None:
        """Return all requests."""
        self._answer(HTTPStatus.OK, "application/json", json.dumps(_REQUESTS).encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as the base has it
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()
