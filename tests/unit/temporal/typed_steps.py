"""What mypy accepts and rejects of a step; it reports a `type: ignore` that is not needed."""

from datetime import timedelta
from typing import Any, TypedDict, assert_type

from orderfleet.domain.contract import ShippingInput
from orderfleet.temporal.attempts import StepResult
from orderfleet.temporal.steps import run_activity, run_local_step, run_step


class Packed(StepResult, frozen=True, kw_only=True):
    weight: int


class Activities:
    async def pack(self, step: ShippingInput) -> Packed:
        raise NotImplementedError

    async def weigh(self, step: ShippingInput) -> int:
        raise NotImplementedError


class Options(TypedDict):
    name: str
    timeout: timedelta
    deadline: None
    on_attempts: Any


async def _accepted(step: ShippingInput, options: Options) -> None:
    assert_type(await run_step(Activities.pack, step, **options), Packed)
    assert_type(await run_local_step(Activities.pack, step, **options), Packed)
    assert_type(await run_activity(Activities.weigh, step, timeout=timedelta(1), left=None), int)


async def _rejected(step: ShippingInput, options: Options) -> None:
    # Another argument.
    await run_step(Activities.pack, "order-1", **options)  # type: ignore[arg-type]
    await run_local_step(Activities.pack, 1, **options)  # type: ignore[arg-type]
    await run_activity(Activities.weigh, "", timeout=timedelta(1), left=None)  # type: ignore[arg-type]
    # A result that counts no attempts.
    await run_step(Activities.weigh, step, **options)  # type: ignore[type-var]
