"""Retries of transient errors within an attempt, so that a short outage costs no attempt.

A step has three attempts, each on record. A gateway that answers 503 or a Postgres that restarts
would use them up in 0.6 s. Activities are idempotent, so the whole body is retried.
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


class TransientRetryInterceptor(Interceptor):
    """The innermost interceptor: to all others, what it retries is one attempt."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap an activity."""
        return _TransientRetry(next)


class _TransientRetry(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        limit = attempt_limit(activity.info())
        if limit is None:
            return await super().execute_activity(input)
        loop = asyncio.get_running_loop()
        began = loop.time()
        share = limit * policies.TRANSIENT_RETRY_SHARE
        timeout = min(share, policies.TRANSIENT_RETRY_TIME).total_seconds()
        report_at = began + max(limit - policies.ATTEMPT_MARGIN, limit / 2).total_seconds()
        cut_off = asyncio.timeout(None)
        last: Exception | None = None

        def retry(error: Exception) -> bool | float:
            """Return whether to retry, or after how many seconds."""
            nonlocal last
            if not is_transient(error):
                return False
            last = error
            # There is an error to report now: report it, should the retry hang, before Temporal
            # gives the attempt up.
            cut_off.reschedule(report_at)
            asked = error.retry_after if isinstance(error, GatewayUnavailableError) else None
            if asked is None or asked <= policies.TRANSIENT_LONGEST_PAUSE.total_seconds():
                # Also where the gateway asks for no pause or nearly none: the back-off is longer.
                return loop.time() - began < timeout
            return loop.time() - began + asked < timeout and asked

        try:
            async with cut_off:
                async for attempt in stamina.retry_context(
                    on=retry,
                    attempts=None,
                    timeout=timeout,
                    wait_initial=policies.TRANSIENT_FIRST_PAUSE,
                    wait_max=policies.TRANSIENT_LONGEST_PAUSE,
                    wait_jitter=policies.TRANSIENT_FIRST_PAUSE,
                ):
                    with attempt:
                        return await super().execute_activity(input)
        except TimeoutError:
            if last is None or not cut_off.expired():
                raise
            raise last from None


def is_transient(error: BaseException) -> bool:
    """Tell whether an error says "not now". A timeout does not: the call has had its time."""
    unavailable = isinstance(error, (GatewayUnavailableError, *UNAVAILABLE))
    return unavailable and not isinstance(error, TimeoutError)
