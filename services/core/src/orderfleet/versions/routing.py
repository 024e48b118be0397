"""Changes of a deployment's routing by the gate, repeated while the server is busy."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.polling import retry
from orderfleet.versions.deployments import (
    Deployment,
    Version,
    describe_deployment,
    set_current,
    set_ramp,
    unset_ramp,
)

log = structlog.stdlib.get_logger(__name__)

# The server refuses a version whose pollers it has not registered yet, and it may be busy.
_CHANGE_SECONDS: Final = 5.0
# Most of the time that a process has between SIGTERM and SIGKILL.
ROLL_BACK_SECONDS: Final = 10.0


class RolloutError(OSError):
    """The build may not serve; the message says why. An OSError, like any failure of a start."""


@dataclass(frozen=True)
class Routing:
    """Where the orders of a deployment go, as far as one of its versions is concerned."""

    client: Client
    version: Version

    async def describe(self) -> Deployment:
        """Return the deployment.

        Raises:
            RPCError: Temporal does not answer.
        """
        return await describe_deployment(self.client, self.version.deployment)

    async def ramp(self, percent: float) -> None:
        """Give the version a share of the new orders.

        Raises:
            RPCError: Temporal does not answer, or refuses.
        """
        await _repeat(lambda: set_ramp(self.client, self.version, percent))

    async def end_ramp(self) -> None:
        """End any ramp of the deployment.

        Raises:
            RPCError: Temporal does not answer, or refuses.
        """
        await _repeat(lambda: unset_ramp(self.client, self.version.deployment))

    async def check_ramp(self) -> Deployment:
        """Return the deployment, in which this version ramps.

        Raises:
            RolloutError: somebody else has changed the routing.
            RPCError: Temporal does not answer.
        """
        deployment = await self.describe()
        if deployment.ramping != self.version.build:
            other = f"build {deployment.ramping} ramps" if deployment.ramping else "the ramp ended"
            raise RolloutError(f"somebody else changed the routing: {other}")
        return deployment

    async def promote(self, token: bytes = b"") -> None:
        """Make the version the current one; its ramp ends.

        Args:
            token: of the deployment as the gate judged it.

        Raises:
            RolloutError: somebody else has changed the routing.
            RPCError: Temporal does not answer, or refuses.
        """

        async def attempt() -> None:
            try:
                await set_current(self.client, self.version, token=token)
            except RPCError as error:
                # The answer of an earlier attempt may be lost.
                if (await self.describe()).current == self.version.build:
                    return
                if token and error.status is RPCStatusCode.FAILED_PRECONDITION:
                    await self.check_ramp()
                raise

        await _repeat(attempt)

    async def roll_back(self) -> None:
        """End the ramp of this version, if there still is one, before the process has to exit.

        Raises:
            RolloutError: Temporal does not answer; the ramp is left.
        """
        try:
            async with asyncio.timeout(ROLL_BACK_SECONDS):
                if (await self.describe()).ramping == self.version.build:
                    await self.end_ramp()
                    log.info("rolled back", build=self.version.build)
        except (RPCError, TimeoutError) as error:
            message = str(error) or "Temporal does not answer"
            raise RolloutError(
                f"build {self.version.build} still gets a share of the new orders, as the ramp "
                f"cannot be ended: {message}"
            ) from error


async def _repeat(change: Callable[[], Awaitable[None]]) -> None:
    await retry(
        change,
        on=RPCError,
        seconds=_CHANGE_SECONDS,
        longest_pause=1.0,
        on_failure=lambda error: log.warning("repeating a change of the routing", error=str(error)),
    )
