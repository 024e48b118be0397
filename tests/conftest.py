"""For all tests: free ports that stay free, and no example of Hypothesis is timed."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import settings

from orderfleet_cli.local.ports import PortFinder

# A slow machine must change no outcome.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    """Instead of pytest-asyncio's, whose ports a connection may take before they are used."""
    return partial(PortFinder(print).take, "a test", 0)
