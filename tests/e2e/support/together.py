"""Run the tests of a file at once: they take seconds, nearly all of them waiting."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final, ParamSpec

from tests.e2e.support.orders import Orders

P = ParamSpec("P")

_APART: Final = 0.2
_TESTS: Final[dict[str, list[Callable[..., Coroutine[Any, Any, None]]]]] = {}


def together(
    test: Callable[P, Coroutine[Any, Any, None]],
) -> Callable[P, Coroutine[Any, Any, None]]:
    """Start the test with the first of its file, and report its outcome in its own turn.

    All of a file's tests take the same fixtures, `orders` among them.
    """
    beside = _TESTS.setdefault(test.__module__, [])
    beside.append(test)

    @wraps(test)
    async def outcome(*args: P.args, **fixtures: P.kwargs) -> None:
        orders = fixtures["orders"]
        assert isinstance(orders, Orders)
        for other in beside:
            key = (other.__module__, other.__name__)
            if key in orders.selected and key not in orders.running:
                orders.running[key] = asyncio.create_task(other(*args, **fixtures))
                # All in one moment, they would wait for each other.
                await asyncio.sleep(_APART)
        await orders.running[test.__module__, test.__name__]

    return outcome
