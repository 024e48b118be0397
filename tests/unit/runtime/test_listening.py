"""A server listens for IPv4 and IPv6, also on a machine with one of them."""

import errno
import socket
from typing import Any

import pytest

from orderfleet.runtime.listening import listen, without_brackets


def reaches(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("127.0.0.1", (True, False)),
        ("localhost", (True, False)),
        ("::1", (False, True)),
        ("[::1]", (False, True)),
        ("0.0.0.0", (True, False)),  # noqa: S104
        ("::", (True, True)),
        ("[::]", (True, True)),
    ],
)
def test_what_a_host_means(host: str, reached: tuple[bool, bool]) -> None:
    with listen(host, 0) as listener:
        port = listener.getsockname()[1]
        assert (reaches("127.0.0.1", port), reaches("::1", port)) == reached


@pytest.mark.parametrize("reason", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
@pytest.mark.parametrize("at", ["socket", "bind"])
def test_every_address_is_every_ipv4_address_without_ipv6(
    monkeypatch: pytest.MonkeyPatch, reason: int, at: str
) -> None:
    class WithoutIPv6(socket.socket):
        def __init__(self, family: int = -1, *args: Any, **options: Any) -> None:
            if at == "socket" and family == socket.AF_INET6:
                raise OSError(reason, "no IPv6")
            super().__init__(family, *args, **options)

        def bind(self, address: Any) -> None:
            if self.family == socket.AF_INET6:
                raise OSError(reason, "no IPv6")
            super().bind(address)

    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    with listen("::", 0) as listener:
        assert listener.family == socket.AF_INET
        monkeypatch.undo()
        assert reaches("127.0.0.1", listener.getsockname()[1])
    # Only `::` asks for whatever there is.
    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    with pytest.raises(OSError, match=r"\[::1\]:0: no IPv6"):
        listen("::1", 0)


@pytest.mark.parametrize("taken", ["127.0.0.1", "::", "::1"])
@pytest.mark.parametrize("wanted", ["127.0.0.1", "::", "::1"])
def test_a_port_is_listened_on_once(taken: str, wanted: str) -> None:
    with listen(taken, 0) as listener:
        port = listener.getsockname()[1]
        if {taken, wanted} == {"127.0.0.1", "::1"}:
            listen(wanted, port).close()
        else:
            with pytest.raises(OSError, match=f":{port}: Address already in use"):
                listen(wanted, port)


def test_a_host_that_is_nowhere_is_one_line() -> None:
    with pytest.raises(OSError, match=r"^\[Errno -?\d+\] nowhere\.invalid:8000: "):
        listen("nowhere.invalid", 8000)


@pytest.mark.parametrize(("host", "name"), [("[::1]", "::1"), ("::1", "::1"), ("a.b", "a.b")])
def test_brackets_belong_to_urls(host: str, name: str) -> None:
    assert without_brackets(host) == name
