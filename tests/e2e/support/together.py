"""Run the tests of a file at once: an order takes seconds, nearly all of them waiting."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final

from tests.e2e.support.orders import Orders

Test = Callable[[Orders], Coroutine[Any, Any, None]]

_APART: Final = 0.2
_TESTS: Final[dict[str, list[Test]]] = {}


def together(test: Test) -> Test:
    """Begin the test with the first one of its file, and tell its outcome in its own turn."""
    beside = _TESTS.setdefault(test.__module__, [])
    beside.append(test)

    @wraps(test)
    async def outcome(orders: Orders) -> None:
        for one in beside:
            key = (one.__module__, one.__name__)
            if key in orders.selected and key not in orders.running:
                orders.running[key] = asyncio.create_task(one(orders))
                # All in one moment, they would wait for each other.
                await asyncio.sleep(_APART)
        await orders.running[test.__module__, test.__name__]

    return outcome
