"""A new connection in place of one on which Temporal does not answer.

A worker gets a new client after an outage, so that it polls at once and not 10 s later.

SDK Core repeats a poll that fails after a pause that doubles up to 10 s, whatever its settings, and
a worker whose client is replaced waits for the end of that pause, too: measured after outages of
25 s, tasks were taken 3 to 6 s after Temporal was back; by a new worker with a new client, 0.1 s.

And again in the seconds after it, as not all of Temporal is back at once. When one of two servers
loses its power, each of the survivor's services notices by itself, within seconds of each other. A
poll that its frontend still sends to the dead one's part of a queue has no answer for a minute: of
a fleet that had lost all its polls like that no order was fulfilled for 64 s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Final, NoReturn

import structlog
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.environment import SettingsError
from orderfleet.temporal.client import is_away
from orderfleet.temporal.credentials import reopen_connection
from orderfleet.temporal.task_queues import TYPES, describe_task_queue

log = structlog.stdlib.get_logger(__name__)

_WITHIN: Final = timedelta(seconds=1)
# How often Temporal is asked: while it answers, and while it does not.
_CHECK_SECONDS: Final = 2.0
_CHECK_AGAIN_SECONDS: Final = 0.2
# How often a connection without a worker is looked at, and what a new one may take.
_LOOK_SECONDS: Final = 1.0
_REOPEN_SECONDS: Final = 2.5
# Answers in a row that a connection misses before it is given up: 2 to 4 s.
_MISSED: Final = 2
# The pause between polls has then grown to more than a second.
_OUTAGE_SECONDS: Final = 2.0
# From an outage's end to the next client, and from that one to the next.
_SETTLING_SECONDS: Final = (2.0, 3.0, 5.0)


class Reconnection:
    """Makes a worker's next client: after an outage, and again in the seconds after it."""

    def __init__(self, task_queue: str, connect: Callable[[], Awaitable[Client]]) -> None:
        """See `reconnect_after_outage`."""
        self._task_queue = task_queue
        self._connect = connect
        self._settling: Sequence[float] = ()

    async def next_client(self, client: Client) -> Client:
        """Wait until a worker needs another client than this one, and return that."""
        if not self._settling:
            return await self._after_outage(client)
        pause, *self._settling = self._settling
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                return await self._after_outage(client)
        with suppress(TimeoutError, SettingsError):
            return await self._connect()
        return await self._after_outage(client)

    async def _after_outage(self, client: Client) -> Client:
        made = await reconnect_after_outage(client, self._task_queue, self._connect)
        self._settling = _SETTLING_SECONDS
        return made


async def reconnect_after_outage(
    client: Client, task_queue: str, connect: Callable[[], Awaitable[Client]]
) -> Client:
    """Wait for the end of an outage of more than 2 s, however long, and return a new client.

    The outage ends when Temporal answers a new client. The old one may have its connection to a
    server whose node lost its power: it notices that after 14 s, while another server answers.

    Args:
        client: with which Temporal is asked, for the first 2 s of an outage.
        task_queue: what Temporal is asked about: an answer needs the same services as a poll.
        connect: makes the client, without waiting for Temporal. TimeoutError or SettingsError means
            that the outage goes on.
    """
    away_since: float | None = None
    while True:
        await asyncio.sleep(_CHECK_SECONDS if away_since is None else _CHECK_AGAIN_SECONDS)
        if away_since is None or monotonic() - away_since < _OUTAGE_SECONDS:
            answers = await _polled(client, task_queue)
            away_since = None if answers else away_since or monotonic()
            continue
        try:
            made = await connect()
        except TimeoutError:
            continue
        except SettingsError as error:
            # Permanent at a start only: here its files may change, and it has orders.
            log.warning("cannot reconnect to Temporal", error=str(error))
            await asyncio.sleep(_CHECK_SECONDS)
            continue
        if all(await asyncio.gather(*(_polled(made, task_queue, type_) for type_ in TYPES))):
            log.info("Temporal is back", away_seconds=round(monotonic() - away_since, 1))
            return made


async def keep_answering(client: Client) -> NoReturn:
    """Reopen a client's connection whenever Temporal does not answer on it, until cancelled.

    For a client without a worker: one that polls needs a new worker as well. A single call without
    an answer may be of a connection that has just ended, and which the SDK opens again by itself.
    """
    missed = 0
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        answers = await _answers(client.workflow_service.get_system_info(GetSystemInfoRequest()))
        missed = 0 if answers else missed + 1
        if missed < _MISSED:
            continue
        # An error says that Temporal is away altogether.
        with suppress(RuntimeError, TimeoutError):
            async with asyncio.timeout(_REOPEN_SECONDS):
                await reopen_connection(client)
            log.info("connected to Temporal again")


async def _polled(client: Client, task_queue: str, type_: str = "workflow") -> bool:
    """Tell whether what a poll needs answers."""
    return await _answers(describe_task_queue(client, task_queue, type_, timeout=_WITHIN))


async def _answers(call: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(_WITHIN.total_seconds()):
            await call
    # A lazy client's failure to connect is a RuntimeError.
    except (RPCError, RuntimeError, TimeoutError) as error:
        return not is_away(error)
    return True
