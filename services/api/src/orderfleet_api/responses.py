"""The answers beside success that a route can give, for the OpenAPI document."""

from http import HTTPStatus
from typing import Final

from litestar.openapi.datastructures import ResponseSpec

from orderfleet_api.schemas import ChangeView, Problem

_WHY: Final = {
    400: "Not JSON, or a header that is needed is missing.",
    401: "No API key, or none that is known.",
    404: "No such order.",
    408: "The body did not come in time.",
    409: "Too late, or it exists and is another one.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    422: "A value is wrong; `errors` points to it.",
    429: "Temporal is busy: come back after Retry-After.",
    503: "Temporal, Postgres or every worker is away: come back after Retry-After.",
}
_ALWAYS: Final = (401, 429, 503)


def answers(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe the statuses given and those that every route can answer."""
    slow = {408} if HTTPStatus.REQUEST_ENTITY_TOO_LARGE in statuses else set()
    found = {
        status: ResponseSpec(
            Problem,
            generate_examples=False,
            description=_WHY[status],
            media_type="application/problem+json",
        )
        for status in sorted({*statuses, *_ALWAYS, *slow} - {HTTPStatus.ACCEPTED})
    }
    if HTTPStatus.ACCEPTED in statuses:
        left = "No worker answered in time: left as a signal for the next one."
        found[202] = ResponseSpec(ChangeView, generate_examples=False, description=left)
    return found
