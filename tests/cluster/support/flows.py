"""The flow of orders in the cluster: start it, end it, and what it saw."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.scripts import run_script
from tests.cluster.support.steps import Step
from tests.e2e.support.orders import DEADLINE

_SCRIPT: Final = Path(__file__).parents[1] / "flow.py"
_STOP: Final = "/tmp/stop"  # noqa: S108  # a volume of the pod alone
_RATE: Final = 2
_SECONDS: Final = 60
# Orders flow before anything happens to the release.
_FIRST: Final = 5
_END_SECONDS: Final = 120.0


@dataclass
class Flow:
    """What the flow saw; filled in at its end."""

    namespace: Namespace
    release: Release
    name: str
    report: Json = field(default_factory=dict)

    @property
    def accepted(self) -> list[str]:
        return [order["id"] for order in self.report["orders"]]

    def show(self, step: Step) -> None:
        """Tell in the table how it went."""
        orders = self.report["orders"]
        fulfilled = [order for order in orders if order["state"] == "fulfilled"]
        step.saw(
            orders=f"{len(fulfilled)}/{len(orders)} fulfilled in {self.report['ran']:.0f} s",
            end_to_end=_spread([order["took"] for order in orders]),
            requests=self.report["requests"],
            http=_spread(self.report["seconds"]),
            repeated=len(self.report["repeated"]),
            lost=len(self.report["lost"]),
        )

    def check(self) -> None:
        """Hold it to the promise: no request lost, every accepted order fulfilled in time."""
        lost = self.report["lost"]
        assert not lost, f"{len(lost)} of {self.report['requests']} requests lost: {lost[:10]}"
        late = [
            order
            for order in self.report["orders"]
            if order["state"] != "fulfilled" or order["took"] > DEADLINE
        ]
        assert not late, f"{len(late)} of {len(self.report['orders'])} not fulfilled: {late[:10]}"
        assert len(self.report["orders"]) >= _RATE * _SECONDS

    def _accepted(self) -> int:
        rows = self.release.psql("SELECT id FROM orders")
        return sum(order_id.startswith(self.name) for (order_id,) in rows)

    def _phase(self) -> str:
        phase = "--output=jsonpath={.status.phase}"
        return self.namespace.kubectl("get", "pod", self.name, phase)


@contextmanager
def flow(release: Release, name: str, tag: str) -> Iterator[Flow]:
    """Let orders flow while the block runs."""
    namespace = release.namespace
    running = Flow(namespace, release, name)
    run_script(namespace, name, _SCRIPT, tag, env=_env(name))
    try:
        wait_until("orders flow", running._accepted, lambda number: number >= _FIRST, 60)
        yield running
        namespace.kubectl("exec", name, "--", "touch", _STOP)
        phase = wait_until(
            "the flow's end",
            running._phase,
            lambda phase: phase in {"Succeeded", "Failed"},
            _SECONDS + _END_SECONDS,
        )
        said = namespace.kubectl("logs", name)
        assert phase == "Succeeded", said[-2000:]
        running.report = json.loads(said.splitlines()[-1])
    finally:
        namespace.kubectl("delete", f"pod/{name}", f"configmap/{name}", "--now")


def _env(name: str) -> list[Json]:
    env = {
        "API_HOST": f"{NAME}-api",
        "PREFIX": name,
        "RATE": str(_RATE),
        "SECONDS": str(_SECONDS),
        "STOP": _STOP,
    }
    key = {"secretKeyRef": {"name": f"{NAME}-api-keys", "key": "key"}}
    return [
        {"name": "API_KEY", "valueFrom": key},
        *({"name": name, "value": value} for name, value in env.items()),
    ]


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "-"
    found = sorted(seconds)
    middle, high = found[len(found) // 2], found[min(len(found) - 1, len(found) * 95 // 100)]
    return f"p50 {middle:.2f} p95 {high:.2f} max {found[-1]:.2f} s"
