"""The internal port of a process: `/livez`, `/readyz` and `/metrics`, apart from anything public.

It is served from a thread of its own, so that a blocked event loop can be told from a dead one.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

# Longer than any task of the loop should hold it; shorter than a kubelet's default patience.
_LOOP_ANSWERS_WITHIN: Final = 0.8


@contextmanager
def serve_probes(
    host: str,
    port: int,
    *,
    ready: Callable[[], bool],
    metrics: Callable[[], bytes] = bytes,
) -> Iterator[None]:
    """Serve the probes of the running event loop until the block ends.

    Live is: the event loop turns. Ready is what `ready` says, asked on each request, and metrics
    are what `metrics` returns, asked in a thread too.

    Raises:
        OSError: the port is taken.
    """
    loop = asyncio.get_running_loop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path:
                case "/livez":
                    self._probe(good=_turns(loop))
                case "/readyz":
                    self._probe(good=ready())
                case "/metrics":
                    self._answer(HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, metrics())
                case _:
                    self.send_error(HTTPStatus.NOT_FOUND)

        def _probe(self, *, good: bool) -> None:
            status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "text/plain", b"ok\n" if good else b"no\n")

        def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """A probe every few seconds is no news."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise OSError(error.errno, f"{host}:{port}: {error.strerror}") from None
    with server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _turns(loop: asyncio.AbstractEventLoop) -> bool:
    turned = threading.Event()
    try:
        loop.call_soon_threadsafe(turned.set)
    except RuntimeError:
        return False
    return turned.wait(_LOOP_ANSWERS_WITHIN)
