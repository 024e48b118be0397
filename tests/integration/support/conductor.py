"""Drives an order through its activities as its workflow does, under losses and time-outs."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from temporalio.exceptions import ApplicationError

from orderfleet.domain.contract import ORDER_CLOSED
from orderfleet.domain.orders import Address, OrderState
from orderfleet.domain.policies import SHIPPING_ATTEMPTS
from orderfleet.gateways.protocols import GatewayRefusedError, GatewayUnknownError
from orderfleet.store.pool import Pool
from orderfleet.store.queries import find_order
from tests.integration.support.chaos import Fate, chaos
from tests.integration.support.steps import Attempt, Steps

_ATTEMPTS: Final = 3
_NEVER: Final = 30
# After so many attempts statements succeed, so that the test ends.
_FOUL: Final = 8
_PAUSES: Final = (0.0, 0.0, 0.0, 0.002, 0.02)


@dataclass(frozen=True)
class Change:
    """A cancel or a change of address, sent `after` seconds from the order's start."""

    change_id: str
    after: float
    address: Address | None


@dataclass(frozen=True)
class Weather:
    """The conditions under which statements and attempts run."""

    seed: int
    losses: float
    """Share of statements that are lost, half of them after their commit."""
    patience: float
    """Seconds until an attempt is abandoned; it may run on beside the next attempt."""
    deadline: float
    """Seconds until the order ends, whatever runs."""
    heard: float = 0.0
    """Share of abandoned attempts that are cancelled, wherever they are."""


class StepFailedError(Exception):
    """All attempts of a step failed, or an attempt failed permanently."""


class Conductor:
    """Runs the order and its changes; `answers` has whether each change was applied."""

    def __init__(self, steps: Steps, pool: Pool, weather: Weather) -> None:
        self.answers: dict[str, bool] = {}
        self._steps = steps
        self._clean = pool
        self._chance = random.Random(weather.seed)
        self._weather = weather
        self._pool = chaos(pool, self._fate)
        self._cancelled = asyncio.Event()
        self._received = asyncio.Event()
        self._attempts: set[asyncio.Task[Any]] = set()

    async def run(self, changes: list[Change]) -> None:
        """Run the order to its end, undo its charge and dispatch, and wait for all attempts."""
        changing = [asyncio.create_task(self._change(change)) for change in changes]
        forward = asyncio.create_task(self._fulfil())
        cancelled = asyncio.create_task(self._cancelled.wait())
        await asyncio.wait(
            {forward, cancelled},
            timeout=self._weather.deadline,
            return_when=asyncio.FIRST_COMPLETED,
        )
        late = not forward.done()
        forward.cancel()
        cancelled.cancel()
        outcome = (await asyncio.gather(forward, return_exceptions=True))[0]
        if isinstance(outcome, StepFailedError) or late:
            end = OrderState.TIMED_OUT if late else OrderState.FAILED
            await self._undo(OrderState.CANCELLED if self._cancelled.is_set() else end)
        elif outcome is not None:
            raise outcome
        self._received.set()
        await asyncio.gather(*changing)
        await asyncio.gather(*self._attempts, return_exceptions=True)
        remote = [*self._steps.gateway._remote._running, *self._steps.carrier._remote._running]
        await asyncio.gather(*remote, return_exceptions=True)

    async def _fulfil(self) -> None:
        await self._step(self._steps.receive())
        self._received.set()
        await self._step(self._steps.validate())
        await self._step(self._steps.charge())
        for attempt in range(1, SHIPPING_ATTEMPTS + 1):
            try:
                await self._step(self._steps.prepare(attempt))
                await self._step(self._steps.dispatch(attempt))
                return
            except StepFailedError as error:
                cause = error.__cause__
                closed = isinstance(cause, ApplicationError) and cause.type == ORDER_CLOSED
                if closed or attempt == SHIPPING_ATTEMPTS:
                    raise

    async def _undo(self, end: OrderState) -> None:
        """Repeat each step until it succeeds, as OrderWorkflow's end and RefundWorkflow do."""
        ended = await self._until_done(self._steps.end(end))
        if not ended.recorded:
            # An abandoned attempt may write the row after this: ReconcileOrders ends such an order.
            await asyncio.gather(*self._attempts, return_exceptions=True)
            ended = await self._until_done(self._steps.end(end))
        if not ended.undo:
            return
        ended = await self._until_done(self._steps.end(end))
        if ended.state is OrderState.FULFILLED:
            return
        if ended.recall:
            await self._until_done(self._steps.recall())
        await self._until_done(self._steps.refund())

    async def _change(self, change: Change) -> None:
        await asyncio.sleep(change.after)
        await self._received.wait()
        if await find_order(self._clean, self._steps.order_id) is None:
            return
        if change.address is None:
            attempt = self._steps.cancel(change.change_id)
        else:
            attempt = self._steps.change_address(change.change_id, change.address)
        changed = await self._until_done(attempt)
        self.answers[change.change_id] = changed.applied
        if changed.applied and change.address is None:
            self._cancelled.set()

    async def _step(self, attempt: Attempt) -> Any:
        for number in range(1, _ATTEMPTS + 1):
            try:
                return await self._try(attempt, number)
            except Exception as error:
                permanent = isinstance(error, ApplicationError) and error.non_retryable
                if permanent or number == _ATTEMPTS:
                    raise StepFailedError from error
        raise AssertionError

    async def _until_done(self, attempt: Attempt) -> Any:
        for number in range(1, _NEVER):
            # Temporal retries all errors but the permanent ones.
            with suppress(OSError, GatewayUnknownError, GatewayRefusedError, RuntimeError):
                return await self._try(attempt, number)
        raise AssertionError("it is never done")

    async def _try(self, attempt: Attempt, number: int) -> Any:
        pool = self._pool if number < _FOUL else self._clean
        running = asyncio.ensure_future(attempt(pool, number))
        self._attempts.add(running)
        try:
            async with asyncio.timeout(self._weather.patience if number < _FOUL else None):
                return await asyncio.shield(running)
        except (TimeoutError, asyncio.CancelledError):
            if self._chance.random() < self._weather.heard:
                later = self._chance.choice(_PAUSES)
                asyncio.get_running_loop().call_later(later, running.cancel)
            raise

    def _fate(self) -> tuple[Fate, float]:
        fate = Fate.FINE
        if self._chance.random() < self._weather.losses:
            fate = self._chance.choice([Fate.LOST_BEFORE, Fate.LOST_AFTER])
        return fate, self._chance.choice(_PAUSES)
