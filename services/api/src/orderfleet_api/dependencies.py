"""What the routes are injected with, by the names of their parameters."""

from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from orderfleet.domain.roles import Roles
from orderfleet_api.auth import provide_actor, provide_roles
from orderfleet_api.backends import Backends
from orderfleet_api.feed.order_stream import OrderStreams
from orderfleet_api.feed.reader import FeedReader
from orderfleet_api.feed.stream import Feed
from orderfleet_api.overview import Overviews

InjectedBackends = NamedDependency[SkipValidation[Backends]]
InjectedFeed = NamedDependency[SkipValidation[Feed]]
InjectedStreams = NamedDependency[SkipValidation[OrderStreams]]
InjectedOverviews = NamedDependency[SkipValidation[Overviews]]
Actor = NamedDependency[str]
CallerRoles = NamedDependency[SkipValidation[Roles]]


def make_dependencies(backends: Backends) -> dict[str, Provide]:
    """Return the providers: of connections, events, overviews, and of the caller."""
    reader = FeedReader(backends.pool, backends.stopping, backends.feed_metrics)
    feed = Feed(backends, reader)
    streams = OrderStreams(backends, reader)
    overviews = Overviews(backends)

    async def provide_backends() -> Backends:
        return backends

    async def provide_feed() -> Feed:
        return feed

    async def provide_streams() -> OrderStreams:
        return streams

    async def provide_overviews() -> Overviews:
        return overviews

    return {
        "backends": Provide(provide_backends),
        "feed": Provide(provide_feed),
        "streams": Provide(provide_streams),
        "overviews": Provide(provide_overviews),
        "actor": Provide(provide_actor),
        "caller_roles": Provide(provide_roles),
    }
