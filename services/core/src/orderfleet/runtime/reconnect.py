"""A new connection after an outage of Temporal, so that a worker polls at once and not 10 s later.

SDK Core repeats a poll that fails after a pause that doubles up to 10 s, whatever its settings, and
a worker whose client is replaced waits for the end of that pause, too: measured after outages of
25 s, tasks were taken 3 to 6 s after Temporal was back; by a new worker with a new client, 0.1 s.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.environment import SettingsError
from orderfleet.temporal.client import is_away
from orderfleet.temporal.task_queues import describe_task_queue

log = structlog.stdlib.get_logger(__name__)

_WITHIN: Final = timedelta(seconds=1)
# How often Temporal is asked: while it answers, and while it does not.
_CHECK_SECONDS: Final = 2.0
_CHECK_AGAIN_SECONDS: Final = 0.2
# The pause between polls has then grown to more than a second.
_OUTAGE_SECONDS: Final = 2.0


async def reconnect_after_outage(
    client: Client, task_queue: str, connect: Callable[[], Awaitable[Client]]
) -> Client:
    """Wait for the end of an outage of more than 2 s, however long, and return a new client.

    Args:
        client: with which Temporal is asked; its own connection is restored by itself.
        task_queue: what Temporal is asked about: an answer needs the same services as a poll.
        connect: makes the client. TimeoutError or SettingsError means that the outage goes on.
    """
    away_since: float | None = None
    while True:
        await asyncio.sleep(_CHECK_SECONDS if away_since is None else _CHECK_AGAIN_SECONDS)
        if not await _answers(client, task_queue):
            away_since = away_since or monotonic()
        elif away_since is not None:
            seconds = monotonic() - away_since
            if seconds > _OUTAGE_SECONDS:
                try:
                    made = await connect()
                except TimeoutError:
                    continue
                except SettingsError as error:
                    # Permanent at a start only: here its files may change, and it has orders.
                    log.warning("cannot reconnect to Temporal", error=str(error))
                    await asyncio.sleep(_CHECK_SECONDS)
                    continue
                log.info("Temporal is back", away_seconds=round(seconds, 1))
                return made
            away_since = None


async def _answers(client: Client, task_queue: str) -> bool:
    try:
        async with asyncio.timeout(_WITHIN.total_seconds()):
            await describe_task_queue(client, task_queue, "workflow", timeout=_WITHIN)
    except (RPCError, TimeoutError) as error:
        return not is_away(error)
    return True
