"""Errors as `application/problem+json` (RFC 9457)."""

from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain.roles import Role
from orderfleet.temporal.client import is_away

log = structlog.stdlib.get_logger(__name__)

RETRY_AFTER: Final = {"Retry-After": "1"}
# How much of a text that the caller chose is repeated.
_SHOWN: Final = 200


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
    """The request cannot be read."""
    return problem(HTTPStatus.BAD_REQUEST, detail)


def unauthorized() -> ProblemDetailsException:
    """The request has no valid key."""
    headers = {"WWW-Authenticate": 'Bearer realm="orderfleet"'}
    return problem(HTTPStatus.UNAUTHORIZED, "A valid API key is required.", headers=headers)


def forbidden(detail: str) -> ProblemDetailsException:
    """The request comes from where nothing is served."""
    return problem(HTTPStatus.FORBIDDEN, detail)


def missing_role(role: Role) -> ProblemDetailsException:
    """The caller's key does not have the role that the route requires (RFC 6750)."""
    challenge = f'Bearer realm="orderfleet", error="insufficient_scope", scope="{role}"'
    return problem(
        HTTPStatus.FORBIDDEN,
        f"An API key with the role {role} is required.",
        headers={"WWW-Authenticate": challenge},
        extra={"role": role},
    )


def not_found(order_id: str) -> ProblemDetailsException:
    """No order has this id."""
    return problem(HTTPStatus.NOT_FOUND, f"There is no order {order_id}.")


def conflict(detail: str) -> ProblemDetailsException:
    """The order's state, or another order, does not allow it."""
    return problem(HTTPStatus.CONFLICT, detail)


def unprocessable(*errors: tuple[str, str]) -> ProblemDetailsException:
    """Values are invalid: for each of them a pointer and a detail."""
    shown = [{"pointer": pointer[:_SHOWN], "detail": detail[:_SHOWN]} for pointer, detail in errors]
    detail = "; ".join(f"{error['pointer']}: {error['detail']}" for error in shown)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, extra={"errors": shown})


def other_change() -> ProblemDetailsException:
    """The caller's Idempotency-Key belongs to a different change."""
    detail = "This Idempotency-Key was used for a different change of the order."
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def unavailable(detail: str) -> ProblemDetailsException:
    """Something that is needed is unavailable; nothing was done, or a repeat does no harm."""
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=RETRY_AFTER)


def temporal_failed(error: RPCError | RuntimeError) -> ProblemDetailsException:
    """Temporal is busy, unavailable, or refuses the call."""
    status = error.status if isinstance(error, RPCError) else RPCStatusCode.UNAVAILABLE
    if status is RPCStatusCode.RESOURCE_EXHAUSTED:
        return problem(HTTPStatus.TOO_MANY_REQUESTS, "Temporal is busy.", headers=RETRY_AFTER)
    log.warning("Temporal failed", status=status.name, error=str(error))
    refused = "Temporal refused the call."
    return unavailable("Temporal is unavailable." if is_away(error) else refused)
