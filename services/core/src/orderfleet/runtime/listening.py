"""The listening socket of a server, for IPv4 and IPv6."""

import errno
import socket
from typing import Final

# Connections that the kernel queues until they are accepted; it has a maximum of its own.
_BACKLOG: Final = 1024
# Errors of a kernel without IPv6, for an IPv6 socket or address.
_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})


def without_brackets(host: str) -> str:
    """Return a host without the brackets of an IPv6 address in a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address; for a host name, on its IPv4 address if it has one.

    `::` means all addresses of both families, or of IPv4 only if the kernel has no IPv6.

    Raises:
        OSError: the port is in use, or the host is not an address of this machine.
    """
    host = without_brackets(host)
    try:
        return _listen(host, port)
    except OSError as error:
        if host == "::" and error.errno in _NO_IPV6:
            return listen("0.0.0.0", port)  # noqa: S104 (as requested: all addresses)
        shown = f"[{host}]" if ":" in host else host
        raise OSError(error.errno, f"{shown}:{port}: {error.strerror}") from None


def _listen(host: str, port: int) -> socket.socket:
    infos = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
    )
    family, *_, address = min(infos, key=lambda info: info[0] != socket.AF_INET)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Allow a port with connections in TIME_WAIT; a port with a listener stays in use.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
