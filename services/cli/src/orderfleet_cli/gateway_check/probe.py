"""What checks do to a gateway of either kind: call it as a worker does, or worse."""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from asyncio.subprocess import DEVNULL
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from itertools import count
from typing import Final, NamedTuple, TypeVar
from uuid import uuid4

import httpx
import msgspec

from orderfleet.domain.strict_json import unique_members
from orderfleet.gateways.http_client import GatewayClient
from orderfleet.gateways.protocols import GatewayUnavailableError, GatewayUnknownError
from orderfleet.polling import poll, retry
from orderfleet_cli.errors import GatewayUnreachableError, UsageError
from orderfleet_cli.gateway_check.rule import BrokenRuleError, NotCheckedError
from orderfleet_cli.gateway_check.target import Target

A = TypeVar("A")
R = TypeVar("R")

AT_ONCE: Final = 8
"""How often a call that is made several times at once is made."""
MOST_BYTES: Final = 65_536
"""What a worker reads of an answer."""
_UNAVAILABLE_SECONDS: Final = 2.0
_MOST_SECONDS: Final = 10.0
_RESTART_SECONDS: Final = 20.0
_SERVER_ERRORS: Final = 500


class Request(NamedTuple):
    """One request, and how long a worker waits for its answer."""

    method: str
    path: str
    seconds: float
    body: object = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Answer(NamedTuple):
    """An answer, and how long it took."""

    status: int
    content: bytes
    seconds: float


class Probe(ABC):
    """A gateway under check; every key is used once only."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._client = GatewayClient(target.url, target.credentials)
        self._run = uuid4().hex[:8]
        self._numbers = count(1)
        self._restarted = False

    @abstractmethod
    def walk(self) -> list[Request]:
        """Return requests that use a new key from its first look-up to its last."""

    @abstractmethod
    async def take(self) -> None:
        """Charge or dispatch with a new key."""

    @abstractmethod
    async def clean_up(self) -> None:
        """Undo what the checks did."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def reach(self) -> None:
        """Check that there is something at the URL.

        Raises:
            GatewayUnreachableError: there is not.
        """
        client = self._client.current()
        try:
            await _exchange(client, self.walk()[0])
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            # Without user and password.
            url = client.base_url.copy_with(userinfo=b"")
            raise GatewayUnreachableError(f"cannot reach the gateway at {url}: {error}") from None
        except (TimeoutError, httpx.HTTPError):
            # The first rules find out.
            return

    def new_key(self) -> str:
        """Return a key that nobody has used."""
        return f"check-{self._run}-{next(self._numbers)}"

    async def send(self, request: Request) -> Answer:
        """Send a request and return whatever the answer is.

        Raises:
            BrokenRuleError: there is none.
        """
        try:
            return await _exchange(self._client.current(), request)
        except (TimeoutError, httpx.HTTPError) as error:
            raise BrokenRuleError(f"{request}: {str(error) or type(error).__name__}") from None

    async def lose_reply(self, request: Request) -> None:
        """Send a request, and close the connection before its answer."""

        async def close(event: str, _: object) -> None:
            if event.endswith("receive_response_headers.started"):
                raise ConnectionAbortedError

        client = self._client.current()
        with suppress(ConnectionAbortedError, httpx.HTTPError):
            await client.request(
                request.method,
                request.path,
                content=_encode(request.body),
                extensions={"trace": close},
            )

    async def connect_idle(self, number: int) -> None:
        """Open connections that stay idle after a request each, as workers' do.

        Raises:
            BrokenRuleError: one of them gets no answer while the others are idle.
        """
        clients = [GatewayClient(self.target.url, self.target.credentials) for _ in range(number)]
        request = self.walk()[0]
        try:
            for client in clients:
                await _exchange(client.current(), request)
        except (TimeoutError, httpx.HTTPError) as error:
            raise BrokenRuleError(f"{request}: {type(error).__name__}") from None
        finally:
            for client in clients:
                await client.aclose()

    async def call(
        self, function: Callable[[A], Awaitable[R]], argument: A, *, seconds: float
    ) -> R:
        """Make a call as a worker does: bounded, and again while the gateway is unavailable.

        Raises:
            GatewayRefusedError: it is refused.
            GatewayUnknownError: its outcome is unknown.
        """

        async def once() -> R:
            try:
                async with asyncio.timeout(seconds):
                    return await function(argument)
            except TimeoutError:
                name = getattr(function, "__name__", "call")
                raise GatewayUnknownError(f"{name}: no answer within {seconds:g} s") from None

        return await retry(
            once, on=GatewayUnavailableError, seconds=_UNAVAILABLE_SECONDS, pause=0.2
        )

    async def restart(self) -> None:
        """Restart the gateway, once, and wait until it answers.

        Raises:
            NotCheckedError: there is no command for that.
            UsageError: the command fails.
            BrokenRuleError: the gateway does not answer afterwards.
        """
        if not self.target.restart:
            raise NotCheckedError("needs --restart COMMAND")
        if self._restarted:
            return
        self._restarted = True
        process = await asyncio.create_subprocess_shell(
            self.target.restart, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            async with asyncio.timeout(_RESTART_SECONDS):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            raise UsageError(f"--restart: did not end within {_RESTART_SECONDS:g} s") from None
        if status:
            raise UsageError(f"--restart: ended with exit status {status}")
        if not await poll(self._answers, seconds=_MOST_SECONDS, pause=0.5):
            raise BrokenRuleError(f"no answer within {_MOST_SECONDS:g} s of its restart")

    async def _answers(self) -> bool:
        try:
            return (await self.send(self.walk()[0])).status < _SERVER_ERRORS
        except BrokenRuleError:
            return False


async def together(calls: Iterable[Awaitable[R]]) -> list[R]:
    """Make calls at once and return their results; raise the first error once all have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


async def both(
    one: Coroutine[None, None, A], other: Coroutine[None, None, R], *, other_first: bool
) -> tuple[A, R]:
    """Make two calls at once, the other one a moment before if that is asked for."""
    if other_first:
        second, first = asyncio.create_task(other), asyncio.create_task(one)
    else:
        first, second = asyncio.create_task(one), asyncio.create_task(other)
    await together([first, second])
    return first.result(), second.result()


def is_object(content: bytes) -> bool:
    """Return whether an answer is a JSON object, as a worker reads it."""
    try:
        return isinstance(json.loads(content, object_pairs_hook=unique_members), dict)
    except (ValueError, RecursionError):
        return False


async def _exchange(client: httpx.AsyncClient, request: Request) -> Answer:
    """Send a request, and read its answer, of a long one no more than shows that it is too long."""
    began = time.monotonic()
    body = bytearray()
    async with (
        asyncio.timeout(_MOST_SECONDS),
        client.stream(request.method, request.path, content=_encode(request.body)) as response,
    ):
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                break
    return Answer(response.status_code, bytes(body), time.monotonic() - began)


def _encode(body: object) -> bytes | None:
    return None if body is None else msgspec.json.encode(body)
