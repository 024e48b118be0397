"""The API: one granian worker, as Python is one core per process; scale by replicas."""

import socket
import sys

from granian.constants import Interfaces, Loops
from granian.log import LogLevels
from granian.server import Server

from orderfleet.settings import start
from orderfleet.telemetry.logs import configure_logs
from orderfleet_api.settings import ApiSettings

# Requests that are under way at SIGTERM get this long; an answer takes 3 s at the most.
_KILL_AFTER_SECONDS = 10


def main() -> None:
    """Serve until SIGTERM; the settings are checked here, before a worker is spawned."""
    settings = start(ApiSettings, "orderfleet-api")
    configure_logs(settings.log_level, settings.log_format, service="api")
    _check_free(settings.api_host, settings.api_port)
    _check_free(settings.probe_host, settings.probe_port)
    Server(
        "orderfleet_api.app:create_app",
        address=settings.api_host,
        port=settings.api_port,
        interface=Interfaces.ASGI,
        factory=True,
        loop=Loops.asyncio,
        websockets=False,
        workers_kill_timeout=_KILL_AFTER_SECONDS,
        log_enabled=False,
        log_level=LogLevels.warning,
    ).serve()


def _check_free(host: str, port: int) -> None:
    """Exit 1 if the port is taken: granian would share it with whoever else shares it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            print(f"orderfleet-api: {host}:{port}: {error.strerror}", file=sys.stderr)
            raise SystemExit(1) from None


if __name__ == "__main__":
    main()
