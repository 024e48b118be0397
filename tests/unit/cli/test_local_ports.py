import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderfleet_cli.local.ports import PortFinder, is_free


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::1"])  # noqa: S104 (a port taken by others)
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    host: str = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        try:
            server.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} here")
        server.listen()
        yield server.getsockname()[1]


def test_a_port_that_someone_listens_on_is_not_free(taken: int) -> None:
    assert not is_free(taken)


def test_the_next_free_port_comes_with_a_message(taken: int) -> None:
    messages: list[str] = []
    port = PortFinder(messages.append).take("API", taken)
    assert port > taken
    assert messages == [f"port {taken} is in use, using {port} (API)"]


def test_a_port_is_assigned_once() -> None:
    messages: list[str] = []
    find = PortFinder(messages.append)
    first = find.take("API", 0)
    assert find.take("UI", first) != first


def test_any_port_comes_without_a_message() -> None:
    messages: list[str] = []
    find = PortFinder(messages.append)
    assert len({find.take("probes", 0) for _ in range(20)}) == 20
    assert messages == []


def test_any_port_is_none_that_a_connection_may_take_meanwhile() -> None:
    system = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not system.exists():
        pytest.skip("the system does not say which ports it gives to connections")
    least, most = map(int, system.read_text().split())
    find = PortFinder(print)
    assert not [port for _ in range(50) if least <= (port := find.take("UI", 0)) <= most]
