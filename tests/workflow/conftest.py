"""A fleet for each test.

The test server loses count of its time locks when an attempt that was given up completes after
its workflow, and skips no more time then.
"""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.workflow.fleet import Fleet, running_fleet


@pytest_asyncio.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with running_fleet() as running:
        yield running
