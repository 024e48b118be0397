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
    responses={503: openapi.problem("The process is shutting down; ask another one.")},
)
async def health(backends: InjectedBackends) -> Health:
    """Report whether this process takes requests, whatever Postgres and Temporal do."""
    if backends.stopping.is_set():
        raise errors.problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "This process is shutting down.",
            headers={"Retry-After": "1"},
        )
    return Health()
