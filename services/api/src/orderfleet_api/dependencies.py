"""What the routes are injected with, by the names of their parameters."""

from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from orderfleet.domain.roles import Roles
from orderfleet_api.auth import provide_actor, provide_roles
from orderfleet_api.backends import Backends
from orderfleet_api.event_stream import EventStreams
from orderfleet_api.overview import Overviews

InjectedBackends = NamedDependency[SkipValidation[Backends]]
InjectedStreams = NamedDependency[SkipValidation[EventStreams]]
InjectedOverviews = NamedDependency[SkipValidation[Overviews]]
Actor = NamedDependency[str]
CallerRoles = NamedDependency[SkipValidation[Roles]]


def make_dependencies(backends: Backends) -> dict[str, Provide]:
    """Return the providers: of connections, event streams, overviews, and of the caller."""
    streams = EventStreams(backends)
    overviews = Overviews(backends)

    async def provide_backends() -> Backends:
        return backends

    async def provide_streams() -> EventStreams:
        return streams

    async def provide_overviews() -> Overviews:
        return overviews

    return {
        "backends": Provide(provide_backends),
        "streams": Provide(provide_streams),
        "overviews": Provide(provide_overviews),
        "actor": Provide(provide_actor),
        "caller_roles": Provide(provide_roles),
    }
