"""`GET /health`, for a load balancer that can reach the public port only."""

from http import HTTPStatus

from litestar import get
from msgspec import Struct

from orderfleet_api import errors, openapi
from orderfleet_api.dependencies import InjectedBackends


class Health(Struct, frozen=True):
    """This process takes requests."""

    status: str = "ok"


@get(
    "/health",
    security=[{}],
    tags=["health"],
    responses={503: openapi.problem("It is about to stop: ask another one.")},
)
async def health(backends: InjectedBackends) -> Health:
    """Tell whether this process takes requests; Postgres and Temporal are not asked."""
    if backends.stopping.is_set():
        raise errors.problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "it is about to stop", headers={"Retry-After": "1"}
        )
    return Health()
