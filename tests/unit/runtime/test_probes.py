import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from orderfleet.runtime import probes
from orderfleet.runtime.probes import serve_probes


@pytest.fixture
def port(unused_tcp_port: int) -> int:
    return unused_tcp_port


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine gives 70 connections less than their 0.8 s of a core."""
    monkeypatch.setattr(probes, "_LOOP_ANSWERS_WITHIN", 50.0)
    monkeypatch.setattr(probes, "_CONNECTION_SECONDS", 50.0)


def ask(port: int, path: str, host: str = "127.0.0.1") -> int:
    try:
        with urlopen(f"http://{host}:{port}{path}", timeout=60) as answer:
            status: int = answer.status
            return status
    except HTTPError as error:
        with error:
            return error.code


async def test_live_while_the_loop_turns(port: int) -> None:
    with serve_probes("127.0.0.1", port, ready=lambda: False):
        assert await asyncio.to_thread(ask, port, "/livez") == 200


async def test_not_live_while_the_loop_is_blocked(port: int, threads: ThreadPoolExecutor) -> None:
    with serve_probes("127.0.0.1", port, ready=lambda: True):
        # Waiting for a thread here keeps the loop from turning until the answer is there.
        assert threads.submit(ask, port, "/livez").result() == 503
        assert threads.submit(ask, port, "/readyz").result() == 200
        assert await asyncio.to_thread(ask, port, "/livez") == 200


async def test_a_busy_internal_port_is_not_taken_for_a_blocked_loop(port: int) -> None:
    def ready() -> bool:
        busy.set()
        time.sleep(1.5)
        return True

    busy = threading.Event()
    with (
        serve_probes("127.0.0.1", port, ready=ready),
        connected(port, 1, b"GET /livez HTTP/1.1\r\n\r\n") as [live],
    ):
        # Blocks this loop, so that `/livez` waits for it, until the other one is blocked longer.
        busy.wait(0.2)
        with connected(port, 1, b"GET /readyz HTTP/1.1\r\n\r\n"):
            assert busy.wait(10)
            head = await asyncio.to_thread(live.recv, 100)
    assert head.startswith(b"HTTP/1.1 200 ")


async def test_metrics_answer_while_the_loop_is_blocked(
    port: int, threads: ThreadPoolExecutor
) -> None:
    def fetch() -> tuple[str | None, bytes]:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return answer.headers["content-type"], answer.read()

    text = b"# TYPE a gauge\na 1.0\n"
    with serve_probes("127.0.0.1", port, ready=lambda: True, metrics=lambda: text):
        # Waiting for a thread here keeps the loop from turning until the answer is there.
        response = threads.submit(fetch).result()
    assert response == ("text/plain; version=0.0.4; charset=utf-8", text)


async def test_ready_is_asked_each_time(port: int) -> None:
    answers = iter([True, False, True])
    with serve_probes("127.0.0.1", port, ready=lambda: next(answers)):
        statuses = [await asyncio.to_thread(ask, port, "/readyz") for _ in range(3)]
    assert statuses == [200, 503, 200]


@pytest.mark.parametrize("path", ["/", "/healthz", "/livez/", "/orders/o-1"])
async def test_there_is_nothing_else(port: int, path: str) -> None:
    with serve_probes("127.0.0.1", port, ready=lambda: True):
        assert await asyncio.to_thread(ask, port, path) == 404


async def test_the_port_is_free_again_after_it(port: int) -> None:
    for _ in range(2):
        with serve_probes("127.0.0.1", port, ready=lambda: True):
            assert await asyncio.to_thread(ask, port, "/readyz") == 200


async def test_a_port_that_is_taken_is_an_error(port: int) -> None:
    with (
        serve_probes("127.0.0.1", port, ready=lambda: True),
        pytest.raises(OSError, match="in use"),
        serve_probes("127.0.0.1", port, ready=lambda: True),
    ):
        pass


@pytest.mark.parametrize("host", ["::", "[::]", "0.0.0.0"])  # noqa: S104 (what a pod listens on)
async def test_one_value_takes_both_families(port: int, host: str) -> None:
    with serve_probes(host, port, ready=lambda: True):
        assert await asyncio.to_thread(ask, port, "/readyz") == 200
        if host != "0.0.0.0":  # noqa: S104
            assert await asyncio.to_thread(ask, port, "/readyz", "[::1]") == 200


@contextmanager
def connected(port: int, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(stack.enter_context(socket.socket()))
            # Little room for what it does not read: Linux' 6 MB would hold a whole response.
            opened[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            opened[-1].connect(("127.0.0.1", port))
            opened[-1].sendall(sent)
        yield opened


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /livez HTTP/1.1\r\nhost: x\r\n", id="half a request"),
        pytest.param(b"GET /metrics HTTP/1.1\r\n\r\n", id="a request whose answer it leaves"),
    ],
)
@pytest.mark.usefixtures("patient")
async def test_who_waits_does_not_keep_the_kubelet_out(port: int, sent: bytes) -> None:
    # More than the 2.8 MB that Linux takes for a client that reads nothing.
    with serve_probes("127.0.0.1", port, ready=lambda: True, metrics=lambda: bytes(4_000_000)):
        before = threading.active_count()
        with connected(port, 70, sent):
            for path in ("/livez", "/readyz"):
                assert await asyncio.to_thread(ask, port, path) == 200
            # No thread for each connection: only the test's client and those that read metrics.
            assert threading.active_count() - before < 50


async def test_there_is_room_for_a_number_of_connections(port: int) -> None:
    with (
        serve_probes("127.0.0.1", port, ready=lambda: True),
        connected(port, 65, b"GET") as [oldest, *_],
        suppress(ConnectionResetError),
    ):
        oldest.settimeout(5)
        assert await asyncio.to_thread(oldest.recv, 1) == b""


@pytest.mark.usefixtures("patient")
async def test_a_scrape_that_takes_long_does_not_keep_the_kubelet_out(port: int) -> None:
    scrape = threading.Event()

    def read() -> bytes:
        scrape.wait(60)
        return b""

    try:
        with (
            serve_probes("127.0.0.1", port, ready=lambda: True, metrics=read),
            connected(port, 70, b"GET /metrics HTTP/1.1\r\n\r\n"),
        ):
            # Many times: the first may come while there is still room.
            for path in ("/livez", "/readyz") * 10:
                assert await asyncio.to_thread(ask, port, path) == 200
            scrape.set()
    finally:
        scrape.set()


async def test_a_request_that_never_ends_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "_CONNECTION_SECONDS", 0.2)
    with serve_probes("127.0.0.1", port, ready=lambda: True), connected(port, 1, b"GET") as [slow]:
        # It goes on talking, so that no pause is long.
        slow.settimeout(0.05)
        async with asyncio.timeout(10):
            while True:
                try:
                    slow.sendall(b"x")
                    if slow.recv(1) == b"":
                        break
                except TimeoutError:
                    await asyncio.sleep(0)
                except OSError:
                    break


@pytest.mark.parametrize(
    "sent",
    [b"GET /" + b"x" * 10_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 2_000],
    ids=["long path", "many headers"],
)
async def test_a_head_has_a_size(port: int, sent: bytes) -> None:
    with (
        serve_probes("127.0.0.1", port, ready=lambda: True),
        connected(port, 1, sent) as [long],
        suppress(ConnectionResetError),
    ):
        long.settimeout(10)
        assert await asyncio.to_thread(long.recv, 1) == b""


async def test_one_scrape_serves_all_who_ask_meanwhile(port: int) -> None:
    looks = []

    def slow() -> bytes:
        looks.append(1)
        time.sleep(0.3)
        return b""

    with serve_probes("127.0.0.1", port, ready=lambda: True, metrics=slow):
        asked = [asyncio.to_thread(ask, port, "/metrics") for _ in range(8)]
        assert set(await asyncio.gather(*asked)) == {200}
    assert len(looks) < 8


async def test_only_get(port: int) -> None:
    with (
        serve_probes("127.0.0.1", port, ready=lambda: True),
        connected(port, 1, b"POST /livez HTTP/1.1\r\n\r\n") as [posted],
    ):
        posted.settimeout(10)
        assert (await asyncio.to_thread(posted.recv, 100)).startswith(b"HTTP/1.1 405 ")


async def test_a_long_answer_to_a_slow_reader_leaves_no_error(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What is still in the buffer at the close is written, and then there is nothing to abort."""
    body = bytes(8_000_000)
    with (
        serve_probes("127.0.0.1", port, ready=lambda: True, metrics=lambda: body),
        connected(port, 1, b"GET /metrics HTTP/1.1\r\n\r\n") as [slow],
    ):
        slow.settimeout(10)
        read = 0
        while piece := await asyncio.to_thread(slow.recv, 1_000_000):
            read += len(piece)
        assert read > len(body)
    assert caplog.messages == []
