"""Decide on each new order: accept it, or refuse it with the reason and the time to wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http import HTTPStatus
from time import monotonic
from typing import Final, NoReturn

import structlog
from asyncpg import PostgresError
from litestar.plugins.problem_details import ProblemDetailsException
from prometheus_client import CollectorRegistry
from temporalio.client import Client

from orderfleet.domain.policies import FORWARD_SHARE
from orderfleet.store.pool import UNAVAILABLE, Pool
from orderfleet.store.progress import read_progress
from orderfleet_api import errors
from orderfleet_api.admission.fleet_life import FleetLife
from orderfleet_api.admission.limiter import Limiter, retry_after
from orderfleet_api.admission.metrics import NO_TENANT, AdmissionMetrics, Reason
from orderfleet_api.admission.shares import Shares
from orderfleet_api.admission.view import AdmissionView, TenantView
from orderfleet_api.admission.waiting import WaitingOrders
from orderfleet_api.background import in_background
from orderfleet_api.settings import ApiSettings
from orderfleet_api.tenants import TokenBucket

log = structlog.stdlib.get_logger(__name__)

# Two observations a second take the API less than 1 % of a core.
_PAUSE_SECONDS: Final = 0.5
_OBSERVE_WITHIN: Final = 2.0
# What the backends' own refusals count as.
_OF_STATUS: Final[dict[int, Reason]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: Reason.AWAY,
    HTTPStatus.TOO_MANY_REQUESTS: Reason.BUSY,
}


class Admission:
    """The orders of this pod that wait, the limit of their number, and the tenants' rates."""

    def __init__(
        self,
        settings: ApiSettings,
        registry: CollectorRegistry,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.on = settings.admission_on
        self._deadline = settings.order_deadline_seconds
        forward = self._deadline * FORWARD_SHARE
        # Orders with a review as long as their time may wait, too, for a tenth of it.
        may_wait = max(forward - settings.review_seconds, self._deadline / 10)
        self.limiter = Limiter(may_wait, settings.review_seconds)
        self.orders = WaitingOrders(settings.review_seconds, forward)
        self._shares = Shares(self.limiter, self.orders)
        queues = settings.order_task_queue, settings.shipping_task_queue
        self.life = FleetLife(queues, clock)
        self._clock = clock
        self._buckets = {name: TokenBucket(rate, clock()) for name, rate in settings.rates.items()}
        self._metrics = AdmissionMetrics(
            registry, settings.keys, on=self.on, limiter=self.limiter, orders=self.orders
        )

    @asynccontextmanager
    async def place(
        self, order_id: str, tenant: str, temporal: Client, *, background: bool
    ) -> AsyncIterator[None]:
        """Take an order in for the block that starts it; if the block fails, give its place back.

        Raises:
            ProblemDetailsException: the order is refused, or the block's own error.
        """
        tenant = tenant or NO_TENANT
        # A repeat of an order whose row is not written yet is no new order.
        takes = self.on and order_id not in self.orders
        if takes:
            await self.life.confirm(temporal)
            self._check(tenant, background=background)
            self.orders.add(order_id, tenant, self._clock())
        try:
            with self.counting_outages(tenant):
                yield
        except BaseException:
            if takes:
                self.orders.remove(order_id)
            raise
        self.life.answered()
        self._metrics.accepted(tenant)

    @contextmanager
    def counting_outages(self, tenant: str) -> Iterator[None]:
        """Count the block's 503 and 429 as refusals, and give them their reason."""
        try:
            yield
        except ProblemDetailsException as error:
            if reason := _OF_STATUS.get(error.status_code):
                self._metrics.refused(reason, tenant or NO_TENANT)
                error.extra = {"reason": reason.value}
            raise

    async def observe(self, pool: Pool) -> None:
        """Read how far the orders have come, and adjust the limit."""
        try:
            async with asyncio.timeout(_OBSERVE_WITHIN):
                ids = self.orders.ids
                progress = await read_progress(pool, ids) if ids else {}
        except (*UNAVAILABLE, PostgresError) as error:
            # A table may be missing, too, until the migrations have run.
            log.debug("progress not read", error=str(error) or type(error).__name__)
            progress = {}
        self._shares.observe(self._clock(), progress)

    def view(self) -> AdmissionView:
        """Return the limit and the tenants as they are now."""
        waiting = self.orders.by_tenant
        return AdmissionView(
            on=self.on,
            limit=round(self.limiter.limit, 1),
            waiting=self.orders.count,
            standing_wait_seconds=round(self.limiter.standing_wait, 2),
            throughput=round(self.limiter.throughput, 1),
            away=self.life.away,
            tenants=[
                TenantView(tenant, accepted, waiting.get(tenant, 0), refused)
                for tenant, (accepted, refused) in sorted(self._metrics.totals().items())
            ],
        )

    def _check(self, tenant: str, *, background: bool) -> None:
        if away := self.life.away:
            raise self._refusal(Reason.AWAY, tenant, away, self.life.away_seconds)
        if reason := self._shares.refusal(tenant, self._clock(), background=background):
            seconds = self.limiter.seconds_until_free(self.orders.count)
            raise self._refusal(reason, tenant, _full(reason, tenant), seconds)
        bucket = self._buckets.get(tenant)
        if bucket is not None and (seconds := bucket.take(self._clock())):
            detail = f"{tenant} places more orders than its rate allows."
            raise self._refusal(Reason.RATE, tenant, detail, seconds)

    def _refusal(
        self, reason: Reason, tenant: str, detail: str, seconds: float
    ) -> ProblemDetailsException:
        self._metrics.refused(reason, tenant)
        away = reason is Reason.AWAY
        status = HTTPStatus.SERVICE_UNAVAILABLE if away else HTTPStatus.TOO_MANY_REQUESTS
        headers = {"Retry-After": str(retry_after(seconds, self._deadline))}
        return errors.problem(status, detail, headers=headers, extra={"reason": reason.value})


def _full(reason: Reason, tenant: str) -> str:
    if reason is Reason.SHARE:
        return f"The fleet is busy, and {tenant} has its share of it."
    return "The fleet is busy: an order accepted now might not end in time."


@asynccontextmanager
async def watched(admission: Admission, pool: Pool, temporal: Client) -> AsyncIterator[None]:
    """Let the admission watch its orders and the fleet until the block ends."""
    if not admission.on:
        yield
        return

    async def look() -> None:
        if admission.life.due:
            await admission.life.look(temporal)

    async with in_background(_repeat(partial(admission.observe, pool)), _repeat(look)):
        yield


async def _repeat(step: Callable[[], Awaitable[None]]) -> NoReturn:
    """Repeat a step twice a second; a bug in it is logged and ends nothing."""
    while True:
        try:
            await step()
        except Exception:
            log.exception("the admission of orders does not see the fleet")
        await asyncio.sleep(_PAUSE_SECONDS)
