"""A fleet for each test.

The test server loses count of its time locks when an attempt that was given up completes after
its workflow, and skips no more time then.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.workflow.fleet import Fleet, running_fleet


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The SDK warns of a cancel that crosses the activity's own end; as an error it would stop the
    # worker.
    crossed = pytest.mark.filterwarnings("ignore:Cannot find activity to cancel")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(crossed)


@pytest_asyncio.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with running_fleet() as running:
        yield running
