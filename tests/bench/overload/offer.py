"""An open loop whose rate changes in steps, and the answer to each of its requests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from tests.bench.http import Answer, Connections, header, order

# A client that gets no answer for so long would not wait either.
PATIENCE: Final = 10.0
NO_ANSWER: Final = 0


class Step(NamedTuple):
    """So many requests a second, for so long."""

    rate: float
    seconds: float


class Sent(Struct, frozen=True):
    """One request and its answer."""

    name: str
    """The order's id, or the path."""
    due: float
    """In seconds since the epoch."""
    late: float
    """Seconds from due to sent: what the generator did not manage."""
    seconds: float
    """From due to answered."""
    status: int
    reason: str = ""
    retry_after: int | None = None

    @property
    def accepted(self) -> bool:
        return self.status == HTTPStatus.ACCEPTED

    @property
    def answered(self) -> bool:
        return self.status != NO_ANSWER


class _Refusal(Struct):
    reason: str = ""


class Client:
    """Asks an API, as one tenant if it has a key."""

    def __init__(self, port: int, key: str = "") -> None:
        self._connections = Connections(port)
        self._headers = f"authorization: Bearer {key}\r\n" if key else ""

    async def place(self, order_id: str) -> Answer:
        path = f"/orders/{order_id}/start"
        return await self._connections.ask("POST", path, order(order_id), self._headers)

    async def read(self, path: str) -> Answer:
        return await self._connections.ask("GET", path, headers=self._headers)

    def close(self) -> None:
        self._connections.close()


def moments(steps: Sequence[Step]) -> Iterator[float]:
    """Yield when each request is due, in seconds from the start; a step's are evenly spread."""
    began = 0.0
    for step in steps:
        count = round(step.rate * step.seconds)
        yield from (began + number / step.rate for number in range(count))
        began += step.seconds


async def offer(
    names: Iterator[str],
    steps: Sequence[Step],
    ask: Callable[[str], Awaitable[Answer]],
    began: float | None = None,
    stop: asyncio.Event | None = None,
) -> list[Sent]:
    """Ask on schedule, whatever becomes of earlier requests; return when all are answered.

    The steps end early once `stop` is set.
    """
    began = time.time() if began is None else began
    sent: list[Sent] = []
    async with asyncio.TaskGroup() as group:
        for moment in moments(steps):
            due = began + moment
            await asyncio.sleep(due - time.time())
            if stop is not None and stop.is_set():
                break
            group.create_task(_ask(next(names), due, ask, sent))
    return sent


async def _ask(
    name: str, due: float, ask: Callable[[str], Awaitable[Answer]], sent: list[Sent]
) -> None:
    late = time.time() - due
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await ask(name)
    except (OSError, EOFError) as error:
        # TimeoutError is an OSError.
        reason = f"no answer: {type(error).__name__}"
        sent.append(Sent(name, due, late, time.time() - due, NO_ANSWER, reason))
        return
    taken = time.time() - due
    if answer.status < HTTPStatus.BAD_REQUEST:
        sent.append(Sent(name, due, late, taken, answer.status))
        return
    seconds = header(answer.head, b"retry-after:")
    reason = _reason(answer)
    sent.append(
        Sent(name, due, late, taken, answer.status, reason, int(seconds) if seconds else None)
    )


def _reason(answer: Answer) -> str:
    try:
        reason = msgspec.json.decode(answer.body, type=_Refusal).reason
    except msgspec.DecodeError:
        reason = ""
    return f"{answer.status} {reason}".strip()
