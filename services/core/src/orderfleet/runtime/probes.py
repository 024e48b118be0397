"""The internal port of a process: `/livez`, `/readyz` and `/metrics`, separate from public ports.

A thread of its own serves it, so that a blocked event loop differs from a dead process. That thread
has one event loop for all connections: a client that opens many of them, or neither sends nor
reads, blocks no thread and cannot keep the kubelet out.
"""

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from http import HTTPStatus
from socket import socket
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from orderfleet.runtime.listening import listen

# Longer than a task may block the event loop; shorter than a kubelet's default time-out.
_LOOP_ANSWERS_WITHIN: Final = 0.8
# For a connection's only request and its response: Prometheus' default time-out.
_CONNECTION_SECONDS: Final = 10.0
# The kubelet, one or two Prometheus and a person need a handful.
_MOST_CONNECTIONS: Final = 64
_MOST_HEAD_BYTES: Final = 8192
_PLAIN: Final = "text/plain"


@contextmanager
def serve_probes(
    host: str,
    port: int,
    *,
    ready: Callable[[], bool],
    metrics: Callable[[], bytes] = bytes,
) -> Iterator[None]:
    """Serve the probes of the running event loop until the block ends.

    The process is live while the event loop turns. Each request to `/readyz` calls `ready`; each to
    `/metrics` calls `metrics`, in a thread.

    Raises:
        OSError: the port is in use.
    """
    probes = _Probes(asyncio.get_running_loop(), ready, metrics)
    with listen(host, port) as listener:
        loop, stopping = asyncio.new_event_loop(), asyncio.Event()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(probes.serve(listener, stopping))

        thread = threading.Thread(target=run, name="probes", daemon=True)
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(stopping.set)
            thread.join()


class _Probes:
    """The connections of the internal port, all in one event loop of its own."""

    def __init__(
        self,
        watched: asyncio.AbstractEventLoop,
        ready: Callable[[], bool],
        metrics: Callable[[], bytes],
    ) -> None:
        self._watched = watched
        self._ready = ready
        self._metrics = metrics
        # All connections, the oldest first, and those of them that wait for their client.
        self._open: dict[StreamWriter, None] = {}
        self._waiting: dict[StreamWriter, None] = {}
        self._scrape: asyncio.Future[bytes] | None = None

    async def serve(self, listener: socket, stopping: asyncio.Event) -> None:
        """Serve until `stopping` is set."""
        server = await asyncio.start_server(self._connected, sock=listener, limit=_MOST_HEAD_BYTES)
        await stopping.wait()
        server.close()

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._make_room()
        self._open[writer] = None
        try:
            async with asyncio.timeout(_CONNECTION_SECONDS):
                self._waiting[writer] = None
                head = await reader.readuntil(b"\r\n\r\n")
                self._waiting.pop(writer, None)
                answer = await self._answer(head)
                self._waiting[writer] = None
                writer.write(answer)
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # A client that left, is too slow or sends too much gets no response.
            pass
        except asyncio.CancelledError:
            # The process ends; without this Python 3.11 logs an error.
            pass
        finally:
            self._waiting.pop(writer, None)
            self._open.pop(writer, None)
            _abort(writer)

    def _make_room(self) -> None:
        """Close the oldest connection that waits for its client, else the oldest, if all are open.

        A newcomer always gets in: 64 that wait for one slow scrape do not keep the kubelet out.
        """
        if len(self._open) < _MOST_CONNECTIONS:
            return
        oldest = next(iter(self._waiting or self._open))
        self._waiting.pop(oldest, None)
        del self._open[oldest]
        _abort(oldest)

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        if method != b"GET":
            return _response(HTTPStatus.METHOD_NOT_ALLOWED)
        match rest.partition(b" ")[0].partition(b"?")[0]:
            case b"/livez":
                return _probe(good=await self._loop_turns())
            case b"/readyz":
                return _probe(good=self._ready())
            case b"/metrics":
                return _response(
                    HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, await self._read_metrics()
                )
            case _:
                return _response(HTTPStatus.NOT_FOUND)

    async def _loop_turns(self) -> bool:
        """Return whether the watched event loop turns."""
        turned: Future[None] = Future()
        try:
            self._watched.call_soon_threadsafe(turned.set_result, None)
        except RuntimeError:
            # The loop is closed.
            return False
        await asyncio.wait({asyncio.wrap_future(turned)}, timeout=_LOOP_ANSWERS_WITHIN)
        # Not whether it turned in time: this loop may have been the busy one.
        return turned.done()

    async def _read_metrics(self) -> bytes:
        """Return the metrics; concurrent requests share one scrape."""
        if self._scrape is None or self._scrape.done():
            loop = asyncio.get_running_loop()
            self._scrape = loop.run_in_executor(None, self._metrics)
        return await asyncio.shield(self._scrape)


def _probe(*, good: bool) -> bytes:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return _response(status, _PLAIN, b"ok\n" if good else b"no\n")


def _abort(writer: StreamWriter) -> None:
    # A closed transport that has flushed its buffer has no loop any more, and `abort` uses it.
    with suppress(AttributeError):
        writer.transport.abort()


def _response(status: HTTPStatus, content_type: str = _PLAIN, body: bytes = b"") -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
