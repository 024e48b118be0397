"""The answers of a route: success as JSON, and what else there is for the OpenAPI document."""

from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from litestar import Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import Receive, Scope, Send

from orderfleet_api.schemas import ChangeView, Problem

T = TypeVar("T")

_WHY: Final = {
    400: "Not JSON, or a header that is needed is missing or comes twice.",
    401: "No API key, or none that is known.",
    403: "Where no key is needed: from a page of another origin, or by a foreign Host.",
    404: "No such order.",
    408: "The body did not come in time.",
    409: "Too late, or it exists and is another one.",
    413: "The body is too large.",
    415: "The body is not said to be JSON, or is compressed.",
    422: "A value is wrong; `errors` points to it.",
    429: "Temporal is busy: come back after Retry-After.",
    503: "Temporal, Postgres or every worker is away: come back after Retry-After.",
}
_ALWAYS: Final = (400, 401, 403, 422, 429, 503)


def answers(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe the statuses given and those that every route can answer."""
    slow = {408} if HTTPStatus.REQUEST_ENTITY_TOO_LARGE in statuses else set()
    shown = {*statuses, *_ALWAYS, *slow} - {HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}
    found = {
        status: ResponseSpec(
            Problem,
            generate_examples=False,
            description=_WHY[status],
            media_type="application/problem+json",
        )
        for status in sorted(shown)
    }
    if HTTPStatus.NO_CONTENT in statuses:
        found[204] = ResponseSpec(None, description="No more will come: do not come back.")
    if HTTPStatus.ACCEPTED in statuses:
        left = "No worker answered in time: queued as a signal for the next one."
        found[202] = ResponseSpec(ChangeView, generate_examples=False, description=left)
    return found


class JsonResponse(Response[T]):
    """What a route returns, as JSON.

    Litestar's own way from a value to its answer merges headers and cookies, of which these have
    none: a sixth of what it does for a request.
    """

    status_code: int

    def __init__(self, content: T, *, status_code: int, **_: Any) -> None:
        self.content = content
        self.status_code = status_code

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """Return the application that answers with it."""
        body = msgspec.json.encode(self.content)
        length = str(len(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]

        async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": headers}
            )
            await send({"type": "http.response.body", "body": body, "more_body": False})

        return answer
