"""The gate: a program that makes the build of its own image the current one, if the build is good.

A Job runs it beside the pods of the new build. Each worker's image has one.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Final

import structlog
from msgspec import Meta

from orderfleet.environment import Count, Env, Seconds, SettingsError
from orderfleet.observability.logging import configure_logs
from orderfleet.runtime.arguments import load_settings
from orderfleet.runtime.process import run_service
from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
from orderfleet.versions.build import build_id
from orderfleet.versions.deployments import Version, deployment_name, server_can_version
from orderfleet.versions.judgement import Limits
from orderfleet.versions.rollout import Candidate, Terms, roll_out
from orderfleet.versions.routing import ROLL_BACK_SECONDS

log = structlog.stdlib.get_logger(__name__)

_DEFAULTS: Final = Terms()


class GateSettings(CommonSettings, frozen=True, kw_only=True):
    """Settings of `orderfleet-order-gate` and `orderfleet-shipping-gate`."""

    gate_percent: Annotated[
        Annotated[float, Meta(ge=1, le=50)],
        Env(
            "Share of the new orders that a new build gets while it is judged; three times as much "
            "if that brings too few.",
            unit="%",
        ),
    ] = _DEFAULTS.percent
    gate_least_orders: Annotated[Count, Env("Orders that a good build has ended.")] = (
        _DEFAULTS.limits.least_orders
    )
    gate_least_seconds: Annotated[
        Seconds,
        Env("How long a build is judged at least; without any order it is good then.", unit="s"),
    ] = _DEFAULTS.limits.least_seconds
    gate_most_seconds: Annotated[
        Seconds,
        Env("When the verdict is due, after the first poll of the build's workers.", unit="s"),
    ] = _DEFAULTS.limits.most_seconds
    gate_wait_seconds: Annotated[
        Seconds, Env("How long the gate waits for a worker of the build.", unit="s")
    ] = _DEFAULTS.wait_seconds
    gate_replayed: Annotated[
        Annotated[int, Meta(ge=0, le=1000)],
        Env("Histories of each type, open ones and closed ones, that a build replays at first."),
    ] = _DEFAULTS.replayed

    def check(self) -> None:
        """Refuse a time that ends before it begins."""
        super().check()
        if self.gate_most_seconds < self.gate_least_seconds:
            raise SettingsError(
                "ORDERFLEET_GATE_MOST_SECONDS is less than ORDERFLEET_GATE_LEAST_SECONDS"
            )

    @property
    def terms(self) -> Terms:
        """What the gate gives a build and asks of it."""
        limits = Limits(self.gate_least_orders, self.gate_least_seconds, self.gate_most_seconds)
        return Terms(self.gate_percent, self.gate_wait_seconds, self.gate_replayed, limits)


@dataclass(frozen=True)
class GatedWorker:
    """The worker whose builds a gate judges."""

    package: ModuleType
    task_queue: Callable[[CommonSettings], str]
    workflows: Sequence[type]
    # The pinned type, by whose ends the gate judges, and those that upgrade by themselves.
    judged: str
    upgrading: Sequence[str] = ()

    def candidate(self, settings: CommonSettings) -> Candidate:
        """Return the build of this process's own files."""
        queue = self.task_queue(settings)
        version = Version(deployment_name(queue), build_id(self.package))
        return Candidate(version, queue, self.workflows, self.judged, self.upgrading)


def run_gate(program: str, worker: GatedWorker) -> None:
    """Run the gate and exit: 0 the build is current, 1 it may not serve, 2 wrong settings.

    The reason is the last line on stderr. A signal ends the ramp, too.
    """
    settings = load_settings(GateSettings, program)
    configure_logs(
        settings.log_level, settings.log_format, service=program.removeprefix("orderfleet-")
    )
    run_service(program, lambda _: _serve(settings, worker), drain=ROLL_BACK_SECONDS)


async def _serve(settings: GateSettings, worker: GatedWorker) -> None:
    try:
        await _roll_out(settings, worker)
    except asyncio.CancelledError:
        # With status 0 the build would count as promoted.
        raise InterruptedError("stopped before the verdict") from None


async def _roll_out(settings: GateSettings, worker: GatedWorker) -> None:
    candidate = worker.candidate(settings)
    structlog.contextvars.bind_contextvars(
        deployment=candidate.version.deployment, build=candidate.version.build
    )
    client = await connect(settings)
    can, server = await server_can_version(client)
    if not can:
        log.warning("Temporal has no Worker Deployments before 1.29: no gate", server=server)
        return
    await roll_out(client, candidate, settings.terms)
