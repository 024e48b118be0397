"""What the routes are injected with, by the names of their parameters."""

from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from orderfleet_api.auth import provide_actor
from orderfleet_api.backends import Backends
from orderfleet_api.event_stream import EventStreams

InjectedBackends = NamedDependency[SkipValidation[Backends]]
InjectedStreams = NamedDependency[SkipValidation[EventStreams]]
Actor = NamedDependency[str]


def make_dependencies(backends: Backends) -> dict[str, Provide]:
    """Return the providers: of the open connections, of the event streams, of the caller's name."""
    streams = EventStreams(backends)

    async def provide_backends() -> Backends:
        return backends

    async def provide_streams() -> EventStreams:
        return streams

    return {
        "backends": Provide(provide_backends),
        "streams": Provide(provide_streams),
        "actor": Provide(provide_actor),
    }
