"""The socket of a server: one value for IPv4 and IPv6."""

import errno
import socket
from typing import Final

# How many connections the kernel keeps until they are accepted; it cuts this at its own bound.
_BACKLOG: Final = 1024
# What a kernel without IPv6 says to a socket of it, or to an address of it.
_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})


def bare(host: str) -> str:
    """Return a host without the brackets that an IPv6 address has in a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address; of a name, on its IPv4 address if it has one.

    `::` is every address of both families, and of IPv4 alone where the kernel has no IPv6.

    Raises:
        OSError: the port is taken, or the host is no address of this machine.
    """
    host = bare(host)
    try:
        return _listen(host, port)
    except OSError as error:
        if host == "::" and error.errno in _NO_IPV6:
            return listen("0.0.0.0", port)  # noqa: S104 (as asked: every address there is)
        shown = f"[{host}]" if ":" in host else host
        raise OSError(error.errno, f"{shown}:{port}: {error.strerror}") from None


def _listen(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
    )
    family, *_, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port whose last connections still linger is free; one that is listened on is not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
