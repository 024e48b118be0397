"""`GET /health`, for a load balancer that can reach the public port only."""

from http import HTTPStatus

from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from orderfleet_api import errors
from orderfleet_api.requests import ApiRequest
from orderfleet_api.schemas import Problem


class Health(Struct, frozen=True):
    """This process takes requests."""

    status: str = "ok"


@get(
    "/health",
    request_class=ApiRequest,
    security=[{}],
    tags=["health"],
    responses={
        503: ResponseSpec(
            Problem,
            generate_examples=False,
            description="It is about to stop: ask another one.",
            media_type="application/problem+json",
        )
    },
)
async def health(request: ApiRequest) -> Health:
    """Tell whether this process takes requests; Postgres and Temporal are not asked."""
    if request.backends.stopping.is_set():
        raise errors.problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "it is about to stop", headers={"Retry-After": "1"}
        )
    return Health()
