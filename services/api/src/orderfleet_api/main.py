"""The API: one granian worker, as Python is one core per process; scale by replicas."""

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


if __name__ == "__main__":
    main()
