"""Fault injection in activities: `flaky`, off by default."""

import asyncio
import random
from fnmatch import fnmatchcase
from typing import Any, Final

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from orderfleet.domain.contract import StepName, order_of

FLAKY_ACTIVITIES: Final = frozenset(
    {
        StepName.RECEIVE,
        StepName.VALIDATE,
        StepName.CHARGE,
        StepName.PREPARE,
        StepName.DISPATCH,
    }
)
_RAISE: Final = 0.33
_HANG: Final = 0.34
_HANG_SECONDS: Final = 300


class ForcedFailureError(RuntimeError):
    """The failure that `flaky` raises."""


class FlakyInterceptor(Interceptor):
    """Lets each attempt of the five activities raise, hang or go on, before it does its work."""

    def __init__(self, orders: str, *, chance: random.Random | None = None) -> None:
        self._orders = orders
        self._chance = chance or random.Random()  # noqa: S311 (not a secret)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap an activity."""
        return _Flaky(next, self._orders, self._chance)


class _Flaky(ActivityInboundInterceptor):
    def __init__(
        self,
        next: ActivityInboundInterceptor,  # noqa: A002
        orders: str,
        chance: random.Random,
    ) -> None:
        super().__init__(next)
        self._orders = orders
        self._chance = chance

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        order_id = order_of(info.workflow_id or "")
        if info.activity_type in FLAKY_ACTIVITIES and fnmatchcase(order_id, self._orders):
            drawn = self._chance.random()
            if drawn < _RAISE:
                raise ForcedFailureError("Forced failure for testing")
            if drawn < _RAISE + _HANG:
                await asyncio.sleep(_HANG_SECONDS)
        return await super().execute_activity(input)
