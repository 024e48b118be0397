"""Errors as `application/problem+json` (RFC 9457)."""

import re
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.plugins.problem_details import (
    ProblemDetailsConfig,
    ProblemDetailsException,
    ProblemDetailsPlugin,
)
from litestar.types import ExceptionHandlersMap
from temporalio.service import RPCError, RPCStatusCode

log = structlog.stdlib.get_logger(__name__)

_RETRY_AFTER = {"Retry-After": "1"}
# Litestar's word for a body that is not there.
_DETAILS = {"'data'": "The body is missing"}
_INDEX = re.compile(r"\[(\d+)\]")
_NAMED = re.compile(r"(?:missing required|contains unknown) field `([^`]+)`")


def problem(
    status: HTTPStatus,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> ProblemDetailsException:
    """Return the exception that becomes the answer."""
    return ProblemDetailsException(
        status_code=status,
        type_="about:blank",
        title=status.phrase,
        detail=detail,
        headers=headers,
        extra=extra,
    )


def not_found(order_id: str) -> ProblemDetailsException:
    """No order has this id."""
    return problem(HTTPStatus.NOT_FOUND, f"no order {order_id}")


def unauthorized() -> ProblemDetailsException:
    """There is no key, or none that we know."""
    headers = {"WWW-Authenticate": 'Bearer realm="orderfleet"'}
    return problem(HTTPStatus.UNAUTHORIZED, "an API key is needed", headers=headers)


def conflict(detail: str) -> ProblemDetailsException:
    """It cannot be done as things stand."""
    return problem(HTTPStatus.CONFLICT, detail)


def unavailable(detail: str) -> ProblemDetailsException:
    """Something that is needed is away; nothing was done, or a repeat does no harm."""
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=_RETRY_AFTER)


def temporal_failed(error: RPCError) -> ProblemDetailsException:
    """Temporal answered with an error: busy, or away."""
    if error.status is RPCStatusCode.RESOURCE_EXHAUSTED:
        detail = "Temporal is busy"
        return problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=_RETRY_AFTER)
    log.warning("Temporal failed", status=error.status.name, error=error.message)
    return unavailable("Temporal is away")


def _from_validation(error: ValidationException) -> ProblemDetailsException:
    """A value is wrong: 422, with a pointer to it."""
    if not isinstance(error.extra, list):
        # A parameter that is needed is not there at all.
        return problem(HTTPStatus.BAD_REQUEST, error.detail.split(" for ", 1)[0])
    errors = [
        {"pointer": _pointer(one), "detail": _DETAILS.get(text := str(one.get("message")), text)}
        for one in error.extra
        if isinstance(one, dict)
    ]
    detail = "; ".join(f"{one['pointer']}: {one['detail']}" for one in errors) or error.detail
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return problem(status, detail, extra={"errors": errors})


def _pointer(error: dict[str, Any]) -> str:
    """Point into the body as JSON Pointer does, and to a parameter by where it stands."""
    source = str(getattr(error.get("source"), "value", "body"))
    key = str(error.get("key", ""))
    if source != "body":
        return f"{source} {key.removeprefix('in_').replace('_', '-')}"
    # Litestar calls the whole body `data`; what is missing or too much it names in the message.
    path = "" if key == "data" else "/" + _INDEX.sub(r"/\1", key).replace(".", "/")
    named = _NAMED.search(str(error.get("message")))
    return f"{path}/{named[1]}" if named else path


def _unreadable(error: Exception) -> ProblemDetailsException:
    """The body is not JSON in a way that msgspec does not call its own error."""
    nested = isinstance(error, RecursionError)
    detail = "the JSON is nested too deep" if nested else "the JSON is not UTF-8"
    return problem(HTTPStatus.BAD_REQUEST, detail)


def _from_http(error: HTTPException) -> ProblemDetailsException:
    headers = dict(error.headers) if error.headers else None
    return problem(HTTPStatus(error.status_code), error.detail, headers=headers)


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    log.error("unexpected error", path=request.url.path, exc_info=error)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem(status, "an error that is logged").to_response(request)


PLUGIN = ProblemDetailsPlugin(
    ProblemDetailsConfig(
        exception_to_problem_detail_map={
            ValidationException: _from_validation,
            HTTPException: _from_http,
            UnicodeDecodeError: _unreadable,
            RecursionError: _unreadable,
        }
    )
)
HANDLERS: ExceptionHandlersMap = {Exception: _unexpected}
