"""Ports on loopback: the wanted one, or the next that nobody listens on."""

import socket
from collections.abc import Callable
from typing import Final

from orderfleet_cli.errors import CommandError

LOOPBACK: Final = "127.0.0.1"
_TRIES: Final = 100
_CONNECT_SECONDS: Final = 0.2
_LAST: Final = 65535

Say = Callable[[str], None]


class PortFinder:
    """Hands out ports, none of them twice: what it gave is not bound yet."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._given: set[int] = set()

    def take(self, purpose: str, wanted: int) -> int:
        """Return the wanted port or the next free one, with a word; 0 is any free one.

        Raises:
            CommandError: a hundred ports in a row are taken.
        """
        if not wanted:
            return self._give(_any_port(self._given))
        for port in range(wanted, min(wanted + _TRIES, _LAST + 1)):
            if port not in self._given and is_free(port):
                if port != wanted:
                    self._say(f"port {wanted} is taken, using {port} ({purpose})")
                return self._give(port)
        raise CommandError(f"no free port for {purpose}: {wanted} and the next ones are taken")

    def _give(self, port: int) -> int:
        self._given.add(port)
        return port


def is_free(port: int) -> bool:
    """Tell whether a server may listen on the port, and nobody does on any address of localhost."""
    with socket.socket() as probe:
        # As servers do: connections that a former run left in TIME_WAIT do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    # Who listens on ::1 or, on some systems, on 0.0.0.0 does not hinder the bind above.
    return not any(_listens(host, port) for host in ("localhost", "::1"))


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _any_port(given: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in given:
            return port
