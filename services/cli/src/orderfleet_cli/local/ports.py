"""Ports on loopback: the preferred one, or the next on which nothing listens."""

import socket
from collections.abc import Callable
from random import SystemRandom
from typing import Final

from orderfleet_cli.errors import CommandError

LOOPBACK: Final = "127.0.0.1"
_TRIES: Final = 100
# Below those that Linux (from 32768) and macOS (from 49152) give to connections and to who asks for
# any port: an assigned port must still be free when its server binds it, a second or so later.
_ANY: Final = range(20_000, 32_768)
_CONNECT_SECONDS: Final = 0.2
_LAST: Final = 65535

Say = Callable[[str], None]


class PortFinder:
    """Assigns ports, none of them twice: an assigned port is not bound yet."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._assigned: set[int] = set()

    def take(self, purpose: str, preferred: int) -> int:
        """Return the preferred port, or the next free one with a message; 0 is any free one.

        Raises:
            CommandError: a hundred ports are in use, in a row or at random.
        """
        last = min(preferred + _TRIES - 1, _LAST)
        tried = range(preferred, last + 1) if preferred else SystemRandom().sample(_ANY, _TRIES)
        for port in tried:
            if port not in self._assigned and is_free(port):
                if preferred and port != preferred:
                    self._say(f"port {preferred} is in use, using {port} ({purpose})")
                self._assigned.add(port)
                return port
        ports = f"{preferred} to {last}" if preferred else f"{_TRIES} ports"
        raise CommandError(f"no free port for {purpose}: {ports} are in use")


def is_free(port: int) -> bool:
    """Return whether a server can bind the port, and none listens on an address of localhost."""
    with socket.socket() as probe:
        # As servers do: connections that a former run left in TIME_WAIT do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    # A listener on ::1 or, on some systems, on 0.0.0.0 does not prevent the bind above.
    return not any(_listens(host, port) for host in ("localhost", "::1"))


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
