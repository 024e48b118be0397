"""What is away for a moment is asked again within the attempt, so that it costs no attempt.

Temporal's attempts of a step are three, and each is on record. A gateway that answers 503 or a
Postgres that restarts would have them all in 0.6 s. The activities are made to be repeated, so the
whole body is, as long as what fails is away.
"""

import asyncio
from typing import Any

import stamina
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from orderfleet.domain import policies
from orderfleet.gateways.protocols import GatewayUnavailableError
from orderfleet.store.pool import UNAVAILABLE
from orderfleet.temporal.attempts import attempt_limit


class PatienceInterceptor(Interceptor):
    """The innermost one: what it repeats is one attempt to all the others."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap an activity."""
        return _Patient(next)


class _Patient(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        limit = attempt_limit(activity.info())
        if limit is None:
            return await super().execute_activity(input)
        loop = asyncio.get_running_loop()
        began = loop.time()
        patience = min(limit * policies.PATIENCE_SHARE, policies.PATIENCE).total_seconds()
        cut = asyncio.timeout(None)
        last: Exception | None = None

        def again(error: Exception) -> bool | float:
            """Tell whether it is worth another try, or after how many seconds."""
            nonlocal last
            if not is_away(error):
                return False
            last = error
            # From now on the attempt is cut off here, while there is a word to leave.
            cut.reschedule(began + max(limit - policies.LAST_WORDS, limit / 2).total_seconds())
            asked = error.retry_after if isinstance(error, GatewayUnavailableError) else None
            if asked is None or asked <= policies.PATIENCE_LONGEST_PAUSE.total_seconds():
                # Nothing or next to nothing: a gateway that says 0 is not asked without a pause.
                return loop.time() - began < patience
            return loop.time() - began + asked < patience and asked

        try:
            async with cut:
                async for attempt in stamina.retry_context(
                    on=again,
                    attempts=None,
                    timeout=patience,
                    wait_initial=policies.PATIENCE_FIRST_PAUSE,
                    wait_max=policies.PATIENCE_LONGEST_PAUSE,
                    wait_jitter=policies.PATIENCE_FIRST_PAUSE,
                ):
                    with attempt:
                        return await super().execute_activity(input)
        except TimeoutError:
            if last is None or not cut.expired():
                raise
            raise last from None


def is_away(error: BaseException) -> bool:
    """Tell whether an error says "not now". A time-out does not: it has had its time."""
    away = isinstance(error, (GatewayUnavailableError, *UNAVAILABLE))
    return away and not isinstance(error, TimeoutError)
