"""Start and stop the flow of orders in the cluster, and read its report."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.scripts import run_script
from tests.cluster.support.steps import Step
from tests.e2e.support.orders import DEADLINE
from tests.support.flow_report import FlowReport

_SCRIPT: Final = Path(__file__).parents[1] / "flow.py"
_STOP: Final = "/tmp/stop"  # noqa: S108  # a volume of the pod alone
# Accepted orders before the block starts.
_FIRST: Final = 5
_END_SECONDS: Final = 120.0
# The share of orders that may be refused while two cores start pods beside them: 9 % were, once.
_REFUSED: Final = 0.2
# The share of cancels that may come after the order's end.
_TOO_LATE: Final = 0.05


@dataclass(frozen=True)
class Load:
    """Settings of flow.py; times in seconds, the rate in orders a second.

    An order that the API refuses for now is a lost request, unless the load is refusable. A request
    without an answer for `attempt_seconds` is repeated. `node` is where the flow's pod runs.
    """

    rate: float = 2
    seconds: float = 60
    looks: int = 1
    cancel_after: float | None = None
    refusable: bool = False
    attempt_seconds: float | None = None
    node: str = ""

    def env(self) -> dict[str, str]:
        settings = {
            "RATE": self.rate,
            "SECONDS": self.seconds,
            "LOOKS": self.looks,
            "CANCEL_AFTER": self.cancel_after,
            "ATTEMPT_SECONDS": self.attempt_seconds,
            "REFUSABLE": 1 if self.refusable else None,
        }
        return {name: str(value) for name, value in settings.items() if value is not None}


_STEADY: Final = Load()


@dataclass
class Flow(FlowReport):
    """A flow; its report is filled in at its end."""

    namespace: Namespace
    release: Release
    name: str
    load: Load

    @property
    def refusals(self) -> list[Json]:
        """When each refused order was sent, and the reason."""
        refusals: list[Json] = self.report["refusals"]
        return refusals

    def show(self, step: Step) -> None:
        """Add the report to the table of steps."""
        orders = self.report["orders"]
        ends = Counter(order["state"] or "open" for order in orders)
        ended = " and ".join(f"{count} {state}" for state, count in ends.most_common())
        step.saw(
            orders=f"{len(orders)} in {self.report['ran']:.0f} s: {ended}",
            end_to_end=_spread([order["took"] for order in orders]),
            sent_late=_spread([order["sent_late"] for order in orders]),
            requests=self.report["requests"],
            http=_spread(self.report["seconds"]),
            repeated=len(self.report["repeated"]),
            lost=len(self.report["lost"]),
        )
        if self.load.refusable:
            step.saw(refused=len(self.refusals))

    def check(self, *states: str) -> None:
        """Check the promise: no request lost, every order ended in time, in one of these states.

        The default is fulfilled, as it is for an order whose cancel came too late.
        """
        wanted = states or ("fulfilled",)
        lost = self.report["lost"]
        assert not lost, f"{len(lost)} of {self.report['requests']} requests lost: {lost[:10]}"
        orders = self.report["orders"]
        wrong = [
            order
            for order in orders
            if order["state"] not in (("fulfilled",) if order["too_late"] else wanted)
            or order["took"] > DEADLINE
        ]
        assert not wrong, f"{len(wrong)} of {len(orders)} not {wanted} in time: {wrong[:10]}"
        too_late = [order["id"] for order in orders if order["too_late"]]
        assert len(too_late) <= _TOO_LATE * len(orders), f"cancelled too late: {too_late}"
        assert len(orders) + len(self.refusals) >= int(self.load.rate * self.load.seconds)

    def check_refusals(self) -> None:
        """Check that few orders were refused, for pods that start beside them."""
        placed = len(self.report["orders"]) + len(self.refusals)
        assert len(self.refusals) <= _REFUSED * placed, self.refusals

    def _accepted(self) -> int:
        rows = self.release.psql("SELECT id FROM orders")
        return sum(order_id.startswith(self.name) for (order_id,) in rows)

    def _phase(self) -> str:
        phase = "--output=jsonpath={.status.phase}"
        return self.namespace.kubectl("get", "pod", self.name, phase)


@contextmanager
def flow(release: Release, name: str, tag: str, load: Load = _STEADY) -> Iterator[Flow]:
    """Run a flow of orders while the block runs."""
    namespace = release.namespace
    running = Flow(namespace, release, name, load)
    run_script(namespace, name, _SCRIPT, tag, env=_env(name, load), node=load.node)
    try:
        wait_until("orders flow", running._accepted, lambda number: number >= _FIRST, 60)
        yield running
        namespace.kubectl("exec", name, "--", "touch", _STOP)
        phase = wait_until(
            "the flow's end",
            running._phase,
            lambda phase: phase in {"Succeeded", "Failed"},
            load.seconds + _END_SECONDS,
        )
        log = namespace.kubectl("logs", name)
        assert phase == "Succeeded", log[-2000:]
        running.report = json.loads(log.splitlines()[-1])
    finally:
        namespace.kubectl("delete", f"pod/{name}", f"configmap/{name}", "--now")


def _env(name: str, load: Load) -> list[Json]:
    env = {"API_HOST": f"{NAME}-api", "PREFIX": name, "STOP": _STOP, **load.env()}
    key = {"secretKeyRef": {"name": f"{NAME}-api-keys", "key": "key"}}
    return [
        {"name": "API_KEY", "valueFrom": key},
        *({"name": name, "value": value} for name, value in env.items()),
    ]


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "-"
    ordered = sorted(seconds)
    median = ordered[len(ordered) // 2]
    high = ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]
    return f"p50 {median:.2f} p95 {high:.2f} max {ordered[-1]:.2f} s"
