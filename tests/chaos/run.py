"""A run of chaos: customers and disturbances at once, then the judgement."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import msgspec
from temporalio.client import Client

from orderfleet.store.pool import Pool, open_pool
from orderfleet.temporal.converter import make_data_converter
from orderfleet_cli.local.processes import environment
from tests.chaos import collect, scripts
from tests.chaos.customers import Customers, follow_feed
from tests.chaos.fleet import ChaosFleet, run_chaos_fleet
from tests.chaos.invariants import Violation, judge
from tests.chaos.plan import Disturbance, disturbances
from tests.chaos.recording import (
    EventLine,
    LedgerCharge,
    LedgerShipment,
    Payment,
    QueuedChange,
    Recording,
    Row,
)

_PROGRESS_SECONDS: Final = 10.0
_CALM_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to run.

    The orders come in batches, each judged once it has settled; the first batch with a violation
    of one of the invariants `until` is the last. `env` is what the services get on top, a source
    tree among it.
    """

    orders: int
    seed: int
    folder: Path
    rate: float = 2.0
    batch: int = 0
    patience: float = 120.0
    until: frozenset[int] = frozenset()
    env: Mapping[str, str] = field(default_factory=dict)
    say: Callable[[str], None] = print


@dataclass(frozen=True)
class Outcome:
    """What a run has left, and what is wrong with it."""

    recording: Recording
    violations: list[Violation]
    placed: int


async def run(options: Options) -> Outcome:
    """Run the fleet, the customers and the disturbances; judge; keep the recording."""
    async with _stage(options) as stage:
        outcome = Outcome(Recording(), [], 0)
        for first in range(0, options.orders, options.batch or options.orders):
            last = min(first + (options.batch or options.orders), options.orders)
            await stage.play(range(first, last))
            recording = await stage.record()
            outcome = Outcome(recording, judge(recording), last)
            (options.folder / "recording.json").write_bytes(msgspec.json.encode(recording))
            if any(violation.number in options.until for violation in outcome.violations):
                break
        return outcome


class _Stage:
    def __init__(
        self, options: Options, fleet: ChaosFleet, http: httpx.AsyncClient, pool: Pool
    ) -> None:
        self._options = options
        self._fleet = fleet
        self._http = http
        self._pool = pool
        self._customers = Customers(http)
        self._plan = disturbances(options.seed)
        self._done: list[Disturbance] = []
        self._feed: list[tuple[str, int]] = []

    async def play(self, numbers: range) -> None:
        """Place the orders at their rate, under disturbances, and wait for their customers."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            await self._play(numbers, tasks)
        finally:
            # Of a run that is stopped: they would go on, without a fleet.
            for task in tasks:
                task.cancel()

    async def _play(self, numbers: range, tasks: set[asyncio.Task[None]]) -> None:
        calm, settled = asyncio.Event(), asyncio.Event()
        # From its begin again.
        self._feed.clear()
        watching = asyncio.create_task(self._fleet.watch_machine())
        disturbing = asyncio.create_task(self._disturb(calm))
        following = asyncio.create_task(follow_feed(self._http, self._feed, settled.is_set))
        tasks |= {watching, disturbing, following}
        customers: set[asyncio.Task[None]] = set()
        began = said = time.monotonic()
        for at, number in enumerate(numbers):
            await asyncio.sleep(max(began + at / self._options.rate - time.monotonic(), 0))
            script = scripts.script(self._options.seed, number)
            customer = asyncio.create_task(self._customers.play(script))
            customers.add(customer)
            tasks.add(customer)
            if time.monotonic() - said > _PROGRESS_SECONDS:
                said = time.monotonic()
                under_way = sum(not task.done() for task in customers)
                self._say_progress(number + 1, under_way)
        await asyncio.gather(*customers)
        calm.set()
        await disturbing
        self._options.say("calm; waiting until nothing is open")
        client = await self._client()
        if not await collect.settled(self._pool, client, self._options.patience):
            self._options.say(f"not settled after {self._options.patience:g} s")
        await asyncio.sleep(_CALM_SECONDS)
        settled.set()
        await following
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    async def record(self) -> Recording:
        """Read all that the run has left so far."""
        client = await self._client()
        histories = _made(self._options.folder / "histories")
        runs = await collect.read_runs(client, histories)
        self._options.say(f"replaying {len(list(histories.iterdir()))} histories")
        env = environment(self._options.env)
        return Recording(
            seed=self._options.seed,
            calls=list(self._customers.calls),
            rows=await collect.read(self._pool, Row),
            events=await collect.read(self._pool, EventLine),
            payments=await collect.read(self._pool, Payment),
            charges=await collect.read(self._pool, LedgerCharge),
            shipments=await collect.read(self._pool, LedgerShipment),
            queued=await collect.read(self._pool, QueuedChange),
            runs=runs,
            absences=list(self._fleet.absences),
            streams=list(self._customers.streams),
            feed=list(self._feed),
            replay_failures=await collect.replay(histories, env),
        )

    async def _client(self) -> Client:
        # Not over the wire, which was cut.
        address = self._fleet.servers.temporal_address
        return await Client.connect(address, data_converter=make_data_converter())

    async def _disturb(self, calm: asyncio.Event) -> None:
        """Follow the plan until it is to be calm, and until all is mended."""
        async with asyncio.TaskGroup() as group:
            while not calm.is_set():
                what = next(self._plan)
                with suppress(TimeoutError):
                    await asyncio.wait_for(calm.wait(), what.pause)
                    return
                group.create_task(self._do(what))

    async def _do(self, what: Disturbance) -> None:
        if await self._fleet.disturb(what):
            self._done.append(what)

    def _say_progress(self, placed: int, under_way: int) -> None:
        last = f", the last: {self._done[-1].kind} {self._done[-1].target}" if self._done else ""
        self._options.say(
            f"{placed} orders placed, {under_way} customers busy,"
            f" {len(self._customers.calls)} calls, {len(self._done)} disturbances{last}"
        )


def _made(folder: Path) -> Path:
    """Make the folder, unless an earlier batch has."""
    folder.mkdir(exist_ok=True)
    return folder


@asynccontextmanager
async def _stage(options: Options) -> AsyncIterator[_Stage]:
    env = {**scripts.ENV, **options.env}
    async with (
        run_chaos_fleet(options.folder / "fleet", env, options.say) as fleet,
        httpx.AsyncClient(
            base_url=fleet.api_url,
            timeout=None,  # noqa: S113 (each call has its customer's patience)
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
        ) as http,
        open_pool(fleet.servers.database_url, size=4, wait_seconds=30) as pool,
    ):
        yield _Stage(options, fleet, http, pool)
