"""The steps of the gate: wait for the new build, replay, ramp, watch, promote or roll back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.polling import poll
from orderfleet.temporal.queue_workers import list_queue_workers
from orderfleet.versions.deployments import TIMEOUT, Version
from orderfleet.versions.judgement import (
    Judgement,
    Limits,
    Order,
    Verdict,
    bad_orders,
    judge,
    widened,
)
from orderfleet.versions.order_samples import OrderSampler, Samples
from orderfleet.versions.replay import fetch_histories, replay_histories
from orderfleet.versions.routing import RolloutError, Routing

log = structlog.stdlib.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0
# How long Temporal may be away before the watch ends.
_AWAY_SECONDS: Final = 15.0
_LOG_SECONDS: Final = 5.0
# For reading the histories, and for replaying them.
_REPLAY_SECONDS: Final = 10.0
# Bad orders that are asked for their last failure.
_DIAGNOSED: Final = 3


@dataclass(frozen=True)
class Candidate:
    """What a new build of a worker consists of, as far as the gate is concerned.

    `judged` is the workflow whose ends decide; it is pinned. A build takes over open workflows of
    the other types, `upgrading`, whose histories must replay therefore.
    """

    version: Version
    task_queue: str
    workflows: Sequence[type]
    judged: str
    upgrading: Sequence[str] = ()


@dataclass(frozen=True)
class Terms:
    """What the gate gives a build, and what it asks of it; settings of the gate."""

    percent: float = 10.0
    wait_seconds: float = 45.0
    replayed: int = 50
    limits: Limits = field(default_factory=Limits)


async def roll_out(client: Client, candidate: Candidate, terms: Terms) -> None:
    """Make a build the current one, if it is good.

    Raises:
        RolloutError: the build may not serve, and no new order goes to it.
        RPCError: Temporal does not answer.
    """
    version = candidate.version
    routing = Routing(client, version)
    deployment = await routing.describe()
    if deployment.current == version.build:
        if deployment.ramping:
            # Of a gate that was killed; its build has been replaced by this one.
            log.warning("ending the ramp of another build", build=deployment.ramping)
            await routing.end_ramp()
        log.info("the build is the current one already")
        return
    await _wait_for_poller(client, candidate, terms.wait_seconds)
    seen = monotonic()
    if deployment.current is None:
        await routing.promote()
        log.info("promoted: no build was current")
        return
    await _replay(client, candidate, terms.replayed)
    current = Version(version.deployment, deployment.current)
    sampler = OrderSampler(client, candidate.task_queue, candidate.judged, version, current)
    if deployment.ramping:
        # Of a gate that was killed, maybe for the same build: this ramp begins now.
        await routing.end_ramp()
    try:
        await routing.ramp(terms.percent)
        log.info("ramping", percent=terms.percent, current=current.build)
        await _Watch(routing, sampler, terms, seen).run()
    except BaseException:
        await routing.roll_back()
        raise
    log.info("promoted")


async def _wait_for_poller(client: Client, candidate: Candidate, seconds: float) -> None:
    queue, build = candidate.task_queue, candidate.version.build
    log.info("waiting for a worker of the build", task_queue=queue)

    async def polls() -> bool:
        try:
            return await _polls(client, queue, build)
        except RPCError as error:
            log.warning("Temporal does not answer", error=str(error))
            return False

    if not await poll(polls, seconds=seconds, pause=_LOOK_SECONDS / 2):
        raise RolloutError(f"no worker of build {build} polled {queue} within {seconds:g} s")


async def _polls(client: Client, task_queue: str, build: str) -> bool:
    return bool(
        (await list_queue_workers(client, task_queue, lately=True, rpc_timeout=TIMEOUT)).of(build)
    )


async def _replay(client: Client, candidate: Candidate, most: int) -> None:
    """Replay what the build would take over, then, for the log, what stays on its own build.

    Raises:
        RolloutError: a workflow that the build would take over does not replay.
    """
    queue, types = candidate.task_queue, [*candidate.upgrading, candidate.judged]
    try:
        async with asyncio.timeout(_REPLAY_SECONDS):
            histories = await fetch_histories(client, queue, types, most=most)
    except TimeoutError:
        log.warning("reading histories took too long: none is replayed")
        return
    replayed = await replay_histories(
        histories, candidate.workflows, client.data_converter, seconds=_REPLAY_SECONDS
    )
    log.info("replayed", histories=replayed.done, failures=len(replayed.failures))
    if pinned := replayed.of([candidate.judged]):
        log.info(
            "histories differ, and stay on their build", count=len(pinned), first=str(pinned[0])
        )
    if failures := replayed.of(candidate.upgrading):
        raise RolloutError(
            f"{len(failures)} workflows that the build would take over do not replay: {failures[0]}"
        )


class _Watch:
    """The ramp of a build, from its begin to its verdict."""

    def __init__(self, routing: Routing, sampler: OrderSampler, terms: Terms, seen: float) -> None:
        self._routing = routing
        self._sampler = sampler
        self._began = monotonic()
        self._terms = terms
        # A bad build is stopped so long after its first poll; the replay took part of the time.
        most = terms.limits.most_seconds - (self._began - seen)
        self._limits = replace(terms.limits, most_seconds=max(most, terms.limits.least_seconds))
        self._percent = terms.percent
        self._timers = 0.0
        self._logged_at = -_LOG_SECONDS

    async def run(self) -> None:
        """Watch until the verdict, and promote a good build.

        Raises:
            RolloutError: the build is bad, or cannot be judged.
            RPCError: Temporal does not answer.
        """
        since = await self._ramping_since()
        before = await self._sampler.before(since)
        self._timers = await self._sampler.timer_seconds(before)
        answered = monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            # By the server's clock, which may differ from this machine's.
            now = since + timedelta(seconds=monotonic() - self._began)
            try:
                deployment = await self._routing.check_ramp()
                await self._check_poller()
                samples = await self._sampler.look(since, now)
                judgement = self._judge(samples, before)
                if judgement.verdict is Verdict.UNDECIDED:
                    await self._widen(len(samples.new))
            except RPCError as error:
                if monotonic() - answered > _AWAY_SECONDS:
                    raise
                log.warning("Temporal does not answer", error=str(error))
                continue
            answered = monotonic()
            if judgement.verdict is Verdict.GOOD:
                await self._routing.promote(deployment.token)
                return
            if judgement.verdict is Verdict.BAD:
                # First back to the current build: reading the orders' failures takes time.
                await self._routing.roll_back()
                raise RolloutError(await self._explain(judgement, samples, before))

    async def _ramping_since(self) -> datetime:
        deployment = await self._routing.check_ramp()
        [since] = [
            summary.ramping_since
            for summary in deployment.versions
            if summary.version == self._routing.version
        ]
        return since or datetime.now(UTC)

    async def _check_poller(self) -> None:
        client, build = self._routing.client, self._routing.version.build
        if not await _polls(client, self._sampler.task_queue, build):
            raise RolloutError(f"no worker of build {build} polls any more")

    def _judge(self, samples: Samples, before: Sequence[Order]) -> Judgement:
        now = monotonic()
        judgement = judge(
            samples.new,
            samples.current,
            before,
            seconds=now - self._began,
            limits=self._limits,
            timers=self._timers,
        )
        decided = judgement.verdict is not Verdict.UNDECIDED
        if decided or now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            log.info(
                "watching",
                verdict=judgement.verdict,
                seconds=round(now - self._began, 1),
                new_orders=len(samples.new),
                reason=judgement.reason,
            )
        return judgement

    async def _widen(self, orders: int) -> None:
        seconds = monotonic() - self._began
        wider = widened(self._terms.percent, orders, seconds=seconds, limits=self._limits)
        if wider > self._percent:
            await self._routing.ramp(wider)
            self._percent = wider
            log.info("too few orders: the share grows", percent=wider)

    async def _explain(
        self, judgement: Judgement, samples: Samples, before: Sequence[Order]
    ) -> str:
        """Return the reason, with the last failure of a bad order."""
        for order in bad_orders(samples.new, samples.current, before)[:_DIAGNOSED]:
            if cause := await self._sampler.diagnose(order.id):
                return f"{judgement.reason}; order {order.id}: {cause}"
        return judgement.reason
