"""A worker's part in the routing of its task queue: its promotion, its readiness, its farewell.

An order is pinned to the build on which it began. So a worker leaves once no order needs its build,
or another worker of the build stays; and new orders must never go to a build that nobody polls.
"""

import asyncio
from collections.abc import Iterable
from random import sample
from time import monotonic
from types import ModuleType
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.settings import WorkerSettings
from orderfleet.temporal.queue_workers import (
    QueueWorker,
    QueueWorkers,
    list_queue_workers,
)
from orderfleet.versions.build import build_id
from orderfleet.versions.deployments import (
    TIMEOUT,
    Version,
    count_open,
    deployment_name,
    describe_deployment,
    server_can_version,
    set_current,
    unset_ramp,
)
from orderfleet.versions.stranded import free_stranded

log = structlog.stdlib.get_logger(__name__)

# Between two looks: until the worker is ready and what a killed one left behind has moved or
# ended, and from then on.
_LOOK_SECONDS: Final = 0.5
_WATCH_SECONDS: Final = 5.0
_SETTLING_SECONDS: Final = 20.0
# The server knows a new version some 0.2 to 1 s after its first poll.
_LOGGED_EVERY: Final = 10
# Of two workers of a build that are stopped at once, the later one sees the first one leave.
_SPREAD_MS: Final = 500
# The visibility store has a workflow some 0.1 s after its first task.
_COUNTS: Final = 2


async def find_version(
    client: Client, settings: WorkerSettings, task_queue: str, package: ModuleType
) -> Version | None:
    """Return the version of this process; None if it works without versioning.

    Who promotes the worker's build in its place may name the version, too.

    Raises:
        RPCError: Temporal does not answer.
    """
    if settings.versioning == "off":
        return None
    able, server = await server_can_version(client)
    if not able:
        log.warning(
            "working without versioning, which needs Temporal 1.29 or later", server_version=server
        )
        return None
    if settings.version_promotion == "none" and settings.deployment_name:
        return Version(settings.deployment_name, settings.worker_build_id)
    return Version(deployment_name(task_queue), build_id(package))


class Serving:
    """A worker in its task queue."""

    def __init__(
        self, client: Client, task_queue: str, version: Version | None, promotion: str
    ) -> None:
        self._client = client
        self._task_queue = task_queue
        self._version = version
        self._promotion = promotion
        # Workers without versioning that were there before this one.
        self._before: set[str] | None = None
        self._promoted = False
        self._began = monotonic()
        self.ready = version is None or promotion == "none"

    @property
    def build(self) -> str:
        """The worker's build; empty without versioning."""
        return self._version.build if self._version else ""

    async def keep(self) -> None:
        """Promote the worker's build when it is time, and notice when it is current.

        With `self`, that is once the worker polls. In any case a build is promoted to which no
        other may be preferred: nobody takes new orders. A worker without versioning sends them
        back to such workers, if a build was current.

        With `self`, workers may be started again with other code at any time: the current build
        goes on with the orders of a build that was killed.
        """
        if self._promotion == "none":
            return
        failures = 0
        while self._version is not None or not self._promoted:
            try:
                await self._look()
                failures = 0
            except RPCError as error:
                failures += 1
                if failures % _LOGGED_EVERY == 0:
                    log.warning("cannot promote this build", build=self.build, error=str(error))
            settled = self._promoted and monotonic() - self._began > _SETTLING_SECONDS
            await asyncio.sleep(_WATCH_SECONDS if settled else _LOOK_SECONDS)

    async def _look(self) -> None:
        queue = await self._list_workers()
        if self._before is None:
            self._before = _identities(queue.of(""))
        if self._version is None and not any(map(self._is_own, queue.of(""))):
            # The server does not know its poll yet. A version without pollers it refuses by itself.
            return
        if queue.current != self.build:
            first = not self._promoted and (self._promotion == "self" or self._version is None)
            if not first and not _nobody_serves(queue):
                return
            await self._promote(queue.current)
        self._promoted = self.ready = True
        if self._version is not None and self._promotion == "self":
            await free_stranded(self._client, self._task_queue, self._version)

    async def _promote(self, before: str) -> None:
        version = self._version or Version(deployment_name(self._task_queue), "")
        await set_current(self._client, version)
        log.info("promoted", build=version.build or "unversioned", before=before or "unversioned")

    # --- Farewell ------------------------------------------------------------------------------

    async def wait_for_orders(self, seconds: float) -> None:
        """Return once no order needs this worker, or the time is over; it polls meanwhile.

        If its build takes the new orders and another worker of the build stays, that is at once.
        """
        if self._version is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wait(self._version)
        except TimeoutError:
            log.warning("leaving orders that are pinned to this build", build=self.build)

    async def _wait(self, version: Version) -> None:
        [milliseconds] = sample(range(_SPREAD_MS), 1)
        await asyncio.sleep(milliseconds / 1000)
        began, unneeded = monotonic(), 0
        while unneeded < _COUNTS:
            try:
                queue = await self._list_workers()
                if self._should_hand_back(queue):
                    await self._hand_back(version)
                elif queue.current == version.build and not self._is_last(queue):
                    return
                unneeded = 0 if await count_open(self._client, version) else unneeded + 1
            except RPCError as error:
                log.warning("cannot count the orders of this build", error=str(error))
            await asyncio.sleep(_LOOK_SECONDS)
        seconds = round(monotonic() - began, 1)
        log.info("no order needs this build", build=version.build, seconds=seconds)

    def _should_hand_back(self, queue: QueueWorkers) -> bool:
        """Return whether new orders would go to a build that nobody polls any more.

        A worker without versioning that was not there before means that versioning is being turned
        off, or that an older release replaces this one. With `self`, what comes after the last
        worker of a build promotes itself: until then new orders wait, instead of beginning here.
        The last worker of a ramping build ends the ramp.
        """
        if self._promotion == "none":
            return False
        if queue.current != self.build:
            return queue.ramping == self.build and self._is_last(queue)
        if self._before is not None and _identities(queue.of("")) - self._before:
            return True
        return self._promotion == "self" and self._is_last(queue)

    async def _hand_back(self, version: Version) -> None:
        """Take the new orders from this build, unless somebody else has changed the routing."""
        deployment = await describe_deployment(self._client, version.deployment)
        try:
            if deployment.current == version.build:
                nobody = Version(version.deployment, "")
                await set_current(self._client, nobody, token=deployment.token)
            elif deployment.ramping == version.build:
                await unset_ramp(self._client, version.deployment, token=deployment.token)
            else:
                return
        except RPCError as error:
            if error.status is not RPCStatusCode.FAILED_PRECONDITION:
                raise
            return
        log.info("handed new orders back", build=version.build)

    async def _list_workers(self) -> QueueWorkers:
        return await list_queue_workers(self._client, self._task_queue, rpc_timeout=TIMEOUT)

    def _is_last(self, queue: QueueWorkers) -> bool:
        return all(map(self._is_own, queue.of(self.build)))

    def _is_own(self, worker: QueueWorker) -> bool:
        return worker.identity == self._client.identity


def _identities(workers: Iterable[QueueWorker]) -> set[str]:
    return {worker.identity for worker in workers}


def _nobody_serves(queue: QueueWorkers) -> bool:
    return not queue.current and not queue.of("")
