"""A fleet whose workers are versions, each of them a process that a test starts and stops."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

# Before they are imported, so that their asserts tell what they saw.
pytest.register_assert_rewrite("tests.cluster.support.shop", "tests.versions.support.stage")

from orderfleet.settings import CommonSettings  # noqa: E402
from orderfleet.store.pool import Pool, open_pool  # noqa: E402
from orderfleet.temporal.client import connect  # noqa: E402
from orderfleet_cli.local import Fleet, FleetOptions, Ports, run_fleet  # noqa: E402
from tests.cluster.support.shop import Shop  # noqa: E402
from tests.e2e.support.orders import clients  # noqa: E402
from tests.support.summaries import show  # noqa: E402
from tests.versions.support.rows import Rows, table  # noqa: E402
from tests.versions.support.stage import Stage  # noqa: E402


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """Run all but the workers."""
    data = tmp_path_factory.mktemp("fleet")
    async with run_fleet(
        FleetOptions(data=data, ports=Ports.anywhere(), services=("api",))
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(fleet: Fleet) -> AsyncIterator[Stage]:
    """Run today's workers."""
    temporal = await connect(CommonSettings(temporal_address=fleet.temporal_address))
    opened = Stage(fleet, temporal)
    try:
        await opened.open()
        yield opened
    finally:
        await opened.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool(fleet: Fleet) -> AsyncIterator[Pool]:
    async with open_pool(fleet.database_url, size=5, wait_seconds=5) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(fleet: Fleet) -> AsyncIterator[Shop]:
    async with clients(fleet) as http:
        yield Shop(http)


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> Rows:
    return Rows(request.node.user_properties)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    show(terminalreporter, "builds, for docs/versions.md", table(terminalreporter))
