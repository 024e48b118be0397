"""One fleet of real processes for all tests; a test tells its orders apart by their ids."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

# Before they are imported, so that their asserts tell what they saw.
pytest.register_assert_rewrite(
    "tests.e2e.support.orders", "tests.e2e.support.programs", "tests.e2e.support.traced"
)

from orderfleet.store.pool import open_pool  # noqa: E402
from orderfleet_cli.errors import CommandError  # noqa: E402
from orderfleet_cli.local import Fleet, FleetOptions, Ports, run_fleet  # noqa: E402
from tests.e2e.support import faults  # noqa: E402
from tests.e2e.support.apis import run_desk  # noqa: E402
from tests.e2e.support.costs import Costs, table  # noqa: E402
from tests.e2e.support.orders import Orders, clients, seconds  # noqa: E402
from tests.support.summaries import show  # noqa: E402

_TRIES = 3


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "alone: orders in time, which `make test-e2e` runs with no other test beside"
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield await _run(stack, tmp_path_factory)


async def _run(stack: AsyncExitStack, data: pytest.TempPathFactory) -> Fleet:
    for _ in range(_TRIES):
        options = FleetOptions(
            data=data.mktemp("fleet"),
            env=faults.ENV,
            ports=Ports.anywhere(),
            # Postgres and Temporal are killed too, and have to remember.
            durable=True,
        )
        try:
            return await stack.enter_async_context(run_fleet(options))
        except CommandError as error:
            # A port that was free when it was chosen may be someone else's when it is used.
            if "already in use" not in str(error):
                raise
    raise CommandError(f"no free ports in {_TRIES} tries")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def orders(request: pytest.FixtureRequest, fleet: Fleet) -> AsyncIterator[Orders]:
    selected = frozenset(
        (item.function.__module__, item.function.__name__)
        for item in request.session.items
        if isinstance(item, pytest.Function)
    )
    async with (
        clients(fleet) as http,
        open_pool(fleet.database_url, size=5, wait_seconds=5) as pool,
    ):
        opened = Orders(http, pool, fleet, selected)
        yield opened
        for task in opened.running.values():
            task.cancel()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(orders: Orders, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[Orders]:
    """The orders of an API where a person, or a browser, has time to decide."""
    async with run_desk(orders, unused_tcp_port_factory) as desk:
        yield desk


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def undisturbed(orders: Orders) -> dict[str, float]:
    """Seconds that an order of each kind takes if nothing is killed."""
    kinds = ("plain", "slow-charge", "slow-carrier")
    placed = await asyncio.gather(*(orders.place(kind) for kind in kinds))
    ended = await asyncio.gather(*(orders.ended(one) for one in placed))
    return dict(zip(kinds, map(seconds, ended), strict=True))


@pytest.fixture
def costs(request: pytest.FixtureRequest) -> Costs:
    return Costs(request.node.user_properties)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    show(terminalreporter, "what a kill costs an order", table(terminalreporter))
