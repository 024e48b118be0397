"""Errors as `application/problem+json` (RFC 9457)."""

from http import HTTPStatus
from typing import Any

import structlog
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.service import RPCError, RPCStatusCode

log = structlog.stdlib.get_logger(__name__)

_AWAY = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}
RETRY_AFTER = {"Retry-After": "1"}
# A name that a caller chose is repeated so far.
_SHOWN = 200


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


def bad_request(detail: str) -> ProblemDetailsException:
    """It cannot be read."""
    return problem(HTTPStatus.BAD_REQUEST, detail)


def forbidden(detail: str) -> ProblemDetailsException:
    """It comes from where nothing is done for it."""
    return problem(HTTPStatus.FORBIDDEN, detail)


def unprocessable(*errors: tuple[str, str]) -> ProblemDetailsException:
    """Values are wrong: each is a pointer to one, and what is wrong with it."""
    found = [{"pointer": pointer[:_SHOWN], "detail": detail[:_SHOWN]} for pointer, detail in errors]
    detail = "; ".join(f"{one['pointer']}: {one['detail']}" for one in found)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, extra={"errors": found})


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


def other_change() -> ProblemDetailsException:
    """The caller's Idempotency-Key names a change that is not this one."""
    detail = "this Idempotency-Key names another change of the order"
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def unavailable(detail: str) -> ProblemDetailsException:
    """Something that is needed is away; nothing was done, or a repeat does no harm."""
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=RETRY_AFTER)


def temporal_failed(error: RPCError) -> ProblemDetailsException:
    """Temporal answered with an error: it is busy, or away, or will not have us."""
    if error.status is RPCStatusCode.RESOURCE_EXHAUSTED:
        detail = "Temporal is busy"
        return problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=RETRY_AFTER)
    log.warning("Temporal failed", status=error.status.name, error=error.message)
    away = error.status in _AWAY
    return unavailable("Temporal is away" if away else "Temporal refused the call")
