"""Litestar's own errors, and the unexpected ones, as problem documents."""

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

from orderfleet.temporal.failure_converter import PayloadKeyError
from orderfleet_api import errors
from orderfleet_api.violations import in_words

log = structlog.stdlib.get_logger(__name__)


def _from_validation(error: ValidationException) -> ProblemDetailsException:
    """A parameter is wrong; a body is only ever missing here, see `bodies`."""
    if not isinstance(error.extra, list):
        # A parameter that is needed is not there at all.
        return errors.bad_request(error.detail.split(" for ", 1)[0])
    return errors.unprocessable(*(_parameter(one) for one in error.extra if isinstance(one, dict)))


def _parameter(error: dict[str, Any]) -> tuple[str, str]:
    key = str(error.get("key", ""))
    if key == "data":
        return "", "The body is missing"
    source = str(getattr(error.get("source"), "value", "body"))
    name = key.removeprefix("in_")
    if source == "header":
        name = name.replace("_", "-")
    return f"{source} {name}", in_words(str(error.get("message")))


def _from_http(error: HTTPException) -> ProblemDetailsException:
    headers = dict(error.headers) if error.headers else None
    return errors.problem(HTTPStatus(error.status_code), error.detail, headers=headers)


def _from_key_error(error: PayloadKeyError) -> ProblemDetailsException:
    log.error("cannot read Temporal's answer", error=str(error))
    return errors.unavailable("Temporal's answer is encrypted with a key that is missing here.")


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    log.error("unexpected error", path=request.url.path, exc_info=error)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return errors.problem(
        status, "An unexpected error occurred. The log has the details."
    ).to_response(request)


PLUGIN = ProblemDetailsPlugin(
    ProblemDetailsConfig(
        exception_to_problem_detail_map={
            ValidationException: _from_validation,
            HTTPException: _from_http,
            PayloadKeyError: _from_key_error,
        }
    )
)
HANDLERS: ExceptionHandlersMap = {Exception: _unexpected}
