"""The input of a workflow, a signal or an update: any values, from any client of Temporal."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from orderfleet.domain.strict_json import check_members
from orderfleet.temporal.converter import PayloadConverter, converted, invalid

T = TypeVar("T")


def check_id(expected: str) -> None:
    """Check the id of a workflow that works for an order; it is derived from the order's id.

    Raises:
        ApplicationError: the id is another; two such workflows would do the same work at once.
    """
    if workflow.info().workflow_id != expected:
        raise invalid(f"the workflow's id must be {expected}")


def input_of(arguments: Sequence[Any], type_: type[T]) -> T:
    """Return the one input of a workflow, a signal or an update; no input is an empty object.

    Args:
        arguments: the values, decoded without a type. Handlers take any number of them, as Python's
            own error about a wrong number would retry the workflow task for ever.
        type_: the type that the input must have.

    Raises:
        ApplicationError: the input does not fit; of the type `InvalidPayload`, non-retryable.
    """
    if len(arguments) > 1:
        raise invalid(f"Expected one value, got {len(arguments)}")
    value = arguments[0] if arguments else None
    if isinstance(value, RawValue):
        if value.payload.data:
            return _decoded(value.payload, type_)
        value = None
    return cast("T", converted({} if value is None else value, type_))


def _decoded(payload: Payload, type_: type[T]) -> T:
    """Decode a payload that failed without a type: it may fit the type, or its error is shown."""
    [decoded] = PayloadConverter().from_payloads([payload], [type_])
    try:
        check_members(payload.data)
    except ValueError as error:
        raise invalid(error) from None
    return cast("T", decoded)
