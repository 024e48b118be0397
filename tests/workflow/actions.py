"""What one call of an activity, or of the gateway or the carrier in it, does around its work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.exceptions import ApplicationError

Work = Callable[[], Awaitable[Any]]
Action = Callable[[Work], Awaitable[Any]]


async def go(work: Work) -> Any:
    return await work()


async def hang(_work: Work) -> Any:
    await asyncio.Event().wait()


async def reply_lost(work: Work) -> Any:
    await work()
    raise RuntimeError("reply lost")


def fail(message: str = "boom", kind: str | None = None, *, permanent: bool = False) -> Action:
    async def action(_work: Work) -> Any:
        raise ApplicationError(message, type=kind, non_retryable=permanent)

    return action


def during(happens: Callable[[], Awaitable[Any]]) -> Action:
    async def action(work: Work) -> Any:
        await happens()
        return await work()

    return action


def after(happens: Callable[[], Awaitable[Any]]) -> Action:
    async def action(work: Work) -> Any:
        result = await work()
        await happens()
        return result

    return action
