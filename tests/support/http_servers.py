"""HTTP servers of the tests, on loopback."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

# How often a server looks whether it shall stop.
_LOOK_SECONDS: Final = 0.05


class _Server(ThreadingHTTPServer):
    # With the default, 5, a burst of connections waits 1 s for its second SYN.
    request_queue_size = 128


@contextmanager
def served(
    handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve until the block ends; yield the URL, which has no slash at its end."""
    with _Server(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            # Each handshake in its own request's thread.
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(_LOOK_SECONDS,), daemon=True)
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
