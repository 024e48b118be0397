"""`python -m tests.bench.board`: a board with 1,000 open orders, 20 new ones and 20 ends a second.

The orders are rows and events in Postgres, written by the store's own statements: no worker runs.
"""

import argparse
import asyncio
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from msgspec import Struct, field
from playwright.async_api import CDPSession, Page

from orderfleet.domain.events import EventType, done, fulfilled
from orderfleet.domain.orders import Address, Item, Order, OrderState
from orderfleet.store.pool import Pool, open_pool
from orderfleet.store.transitions import move, receive
from orderfleet_cli.local import FleetOptions, Ports, run_fleet
from orderfleet_cli.signals import run_until_signal
from tests.e2e.support.browser import browse

_OPEN: Final = 1000
_RATE: Final = 20
_STEPS: Final = (
    (EventType.VALIDATED, OrderState.IN_REVIEW),
    (EventType.CHARGING, OrderState.CHARGING),
    (EventType.CHARGED, OrderState.CHARGED),
    (EventType.PREPARED, OrderState.SHIPPING),
    (EventType.DISPATCHING, OrderState.DISPATCHING),
)
# An order takes 50 s here, so that 1,000 are open; the page shows the oldest.
_ENV: Final = {"ORDER_DEADLINE_SECONDS": "60"}
_SAMPLE_SECONDS: Final = 10.0
# Frames of the last second, and when each order left the table of open ones.
_WATCH: Final = """
window.watched = { frames: 0, longest: 0, left: {} };
let last = performance.now();
(function frame(now) {
  watched.longest = Math.max(watched.longest, now - last);
  watched.frames += 1;
  last = now;
  requestAnimationFrame(frame);
})(last);
const rows = document.querySelector("section[aria-labelledby=open-title] tbody");
new MutationObserver((changes) => {
  for (const change of changes)
    for (const row of change.removedNodes)
      watched.left[row.querySelector("a").textContent] = Date.now() / 1000;
}).observe(rows, { childList: true });
"""
_TAKE: Final = """() => {
  const taken = { ...watched };
  Object.assign(watched, { frames: 0, longest: 0, left: {} });
  return { ...taken, rows: document.querySelectorAll("tbody tr").length };
}"""


class Sample(Struct):
    """Ten seconds of the page."""

    frames_per_second: float
    longest_frame_ms: float
    delays: list[float]
    busy: float
    heap_mib: float
    nodes: int


class Fleet(Struct):
    """The orders that are open, and when each one's end was committed."""

    pool: Pool
    open: deque[str] = field(default_factory=deque)
    ended: dict[str, float] = field(default_factory=dict)
    placed: int = 0

    async def fill(self) -> None:
        """Place the orders, each as far on as it will be when others come at the rate."""
        for _ in range(_OPEN):
            await self._place()
        for place, order_id in enumerate(self.open):
            for number, step in enumerate(_STEPS):
                if _OPEN - place >= _place_of(number):
                    await self._step(order_id, step)

    async def turn(self) -> None:
        """Place an order, end the oldest one, and take one to each state in between."""
        await self._place()
        order_id = self.open.popleft()
        await move(self.pool, order_id, [fulfilled("T-1")], to=OrderState.FULFILLED)
        self.ended[order_id] = time.time()
        for number, step in enumerate(_STEPS):
            await self._step(self.open[-_place_of(number)], step)

    async def _place(self) -> None:
        self.placed += 1
        order_id = f"bench-{self.placed:06}"
        order = Order(
            payment_id=f"pay-{order_id}",
            address=Address("1 Main St", "Springfield"),
            items=[Item("ABC", 2, "9.50")],
        )
        await receive(self.pool, order_id, order, {})
        self.open.append(order_id)

    async def _step(self, order_id: str, step: tuple[EventType, OrderState]) -> None:
        type_, state = step
        await move(self.pool, order_id, [done(type_, 1)], to=state)


def _place_of(step: int) -> int:
    """Return the place, from the newest order, of the one that takes a step."""
    return _OPEN * (step + 1) // (len(_STEPS) + 1)


@asynccontextmanager
async def _flow(fleet: Fleet) -> AsyncIterator[None]:
    """Place and end orders at the rate for the block."""

    async def run() -> None:
        due = time.monotonic()
        while True:
            await fleet.turn()
            due += 1 / _RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    running = asyncio.create_task(run())
    try:
        yield
    finally:
        running.cancel()


async def _metrics(cdp: CDPSession) -> dict[str, float]:
    metrics = (await cdp.send("Performance.getMetrics"))["metrics"]
    return {metric["name"]: metric["value"] for metric in metrics}


async def _sample(page: Page, cdp: CDPSession, fleet: Fleet) -> Sample:
    busy = -(await _metrics(cdp))["TaskDuration"]
    await page.evaluate(_TAKE)
    await asyncio.sleep(_SAMPLE_SECONDS)
    seen = await page.evaluate(_TAKE)
    busy += (await _metrics(cdp))["TaskDuration"]
    await cdp.send("HeapProfiler.collectGarbage")
    metrics = await _metrics(cdp)
    delays = [at - fleet.ended[order] for order, at in seen["left"].items() if order in fleet.ended]
    return Sample(
        seen["frames"] / _SAMPLE_SECONDS,
        seen["longest"],
        delays,
        busy / _SAMPLE_SECONDS,
        metrics["JSHeapUsedSize"] / 2**20,
        int(metrics["Nodes"]),
    )


async def measure(seconds: float, picture: Path | None) -> None:
    """Watch the page for so many seconds, and print what was seen."""
    with tempfile.TemporaryDirectory(prefix="orderfleet-bench-") as data:
        options = FleetOptions(data=Path(data), env=_ENV, ports=Ports.anywhere(), services=("api",))
        async with (
            run_fleet(options) as local,
            open_pool(local.database_url, size=10, wait_seconds=5) as pool,
            browse(viewport={"width": 1280, "height": 900}) as page,
        ):
            fleet = Fleet(pool)
            await fleet.fill()
            await page.goto(f"{local.api_url}/board")
            await page.get_by_text("more, whose time ends later").wait_for()
            cdp = await page.context.new_cdp_session(page)
            await cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
            await page.evaluate(_WATCH)
            samples = []
            async with _flow(fleet):
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    samples.append(await _sample(page, cdp, fleet))
                    _print(samples[-1])
                if picture:
                    await page.screenshot(path=picture)
            _summarize(samples)


def _print(sample: Sample) -> None:
    p95 = quantiles(sample.delays, n=20)[-1] if len(sample.delays) > 1 else float("nan")
    print(
        f"{sample.frames_per_second:5.1f} frames/s, the longest {sample.longest_frame_ms:4.0f} ms;"
        f" {len(sample.delays):4} ends shown, p95 {1000 * p95:4.0f} ms after their commit;"
        f" {sample.busy:.0%} of a core; heap {sample.heap_mib:.1f} MiB, {sample.nodes} nodes",
        flush=True,
    )


def _summarize(samples: list[Sample]) -> None:
    delays = [delay for sample in samples for delay in sample.delays]
    p95 = quantiles(delays, n=20)[-1]
    print(f"frames/s: median {median(s.frames_per_second for s in samples):.0f}")
    print(f"the page's thread: {median(s.busy for s in samples):.0%} of a core")
    print(f"longest frame: {max(s.longest_frame_ms for s in samples):.0f} ms")
    print(f"ends: {len(delays)}, median {1000 * median(delays):.0f} ms, p95 {1000 * p95:.0f} ms")
    print(f"heap: {samples[0].heap_mib:.1f} MiB at first, {samples[-1].heap_mib:.1f} at last")
    print(f"nodes: {samples[0].nodes} at first, {samples[-1].nodes} at last")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.board", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--picture", type=Path, help="where to write a picture of the page")
    arguments = parser.parse_args()
    run_until_signal(measure(arguments.seconds, arguments.picture))


if __name__ == "__main__":
    main()
