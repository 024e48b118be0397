"""What a workflow is started with or told: values of any kind, from any client of Temporal."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from orderfleet.domain.strict_json import check_members
from orderfleet.temporal.converter import DATA_CONVERTER, converted, invalid

T = TypeVar("T")


def check_id(expected: str) -> None:
    """Look at the id of a workflow that works for an order: it is made of the order's.

    Raises:
        ApplicationError: it is another one; two of them would do one order's work at once.
    """
    if workflow.info().workflow_id != expected:
        raise invalid(f"the workflow's id must be {expected}")


def input_of(given: Sequence[Any], wanted: type[T]) -> T:
    """Return the one input of a workflow, a signal or an update; none at all is an empty object.

    Args:
        given: what came, decoded without a type: handlers take any number of values, as a wrong
            number is Python's own error, which retries the workflow task for ever.
        wanted: the type that it must have.

    Raises:
        ApplicationError: it does not fit; of the type `InvalidPayload`, non-retryable.
    """
    if len(given) > 1:
        raise invalid(f"Expected one value, got {len(given)}")
    value = given[0] if given else None
    if isinstance(value, RawValue):
        if value.payload.data:
            return _decoded(value.payload, wanted)
        value = None
    return cast("T", converted({} if value is None else value, wanted))


def _decoded(payload: Payload, wanted: type[T]) -> T:
    """Decode what could not be decoded without a type, for its reason; it may be JSON after all."""
    [decoded] = DATA_CONVERTER.payload_converter.from_payloads([payload], [wanted])
    try:
        check_members(payload.data)
    except ValueError as error:
        raise invalid(error) from None
    return cast("T", decoded)
