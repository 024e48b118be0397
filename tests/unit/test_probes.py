import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from orderfleet.probes import serve_probes


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
        return found


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def ask(port: int, path: str) -> int:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
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


async def test_metrics_answer_while_the_loop_is_blocked(
    port: int, threads: ThreadPoolExecutor
) -> None:
    def fetch() -> tuple[str | None, bytes]:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return answer.headers["content-type"], answer.read()

    text = b"# TYPE a gauge\na 1.0\n"
    with serve_probes("127.0.0.1", port, ready=lambda: True, metrics=lambda: text):
        # Waiting for a thread here keeps the loop from turning until the answer is there.
        found = threads.submit(fetch).result()
    assert found == ("text/plain; version=0.0.4; charset=utf-8", text)


async def test_ready_is_asked_each_time(port: int) -> None:
    answers = iter([True, False, True])
    with serve_probes("127.0.0.1", port, ready=lambda: next(answers)):
        found = [await asyncio.to_thread(ask, port, "/readyz") for _ in range(3)]
    assert found == [200, 503, 200]


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
