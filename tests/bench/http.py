"""HTTP by hand, on connections that are kept.

A client library takes 2 ms for a request, which would count as the server's: to accept an order
takes 8 ms in all.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from orderfleet_cli.local.ports import LOOPBACK

ADDRESS: Final = {"street": "1 Main St", "city": "Springfield"}
_LENGTH: Final = b"content-length:"


class RefusedError(Exception):
    """The server answered something else than it should."""


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    head: bytes
    body: bytes


class Connection(NamedTuple):
    """One connection, for one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection(LOOPBACK, port))

    async def ask(self, method: str, path: str, body: bytes = b"", headers: str = "") -> Answer:
        """Send a request and read the answer; each of the headers ends with CRLF."""
        head = f"{method} {path} HTTP/1.1\r\nhost: {LOOPBACK}\r\ncontent-length: {len(body)}\r\n"
        kind = "content-type: application/json\r\n" if body else ""
        self.writer.write(f"{head}{kind}{headers}\r\n".encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        length = header(answer, _LENGTH) or b"0"
        content = await self.reader.readexactly(int(length))
        return Answer(int(answer.split(b" ", 2)[1]), answer, content)


def header(head: bytes, name: bytes) -> bytes:
    """Return the value of a header, empty without it; the name is in lower case, with its colon."""
    lines = (line for line in head.split(b"\r\n") if line.lower().startswith(name))
    return next((line[len(name) :].strip() for line in lines), b"")


class Connections:
    """Connections to a server, as many as there are requests under way, kept in between."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[Connection] = []

    async def ask(self, method: str, path: str, body: bytes = b"", headers: str = "") -> Answer:
        """Send a request on a connection that nobody uses, and close it unless it was answered."""
        connection = self._kept() or await Connection.open(self.port)
        try:
            answer = await connection.ask(method, path, body, headers)
        except BaseException:
            connection.writer.close()
            raise
        self._idle.append(connection)
        return answer

    def _kept(self) -> Connection | None:
        """Return an idle connection; the server closes one after some seconds."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.reader.at_eof():
                return connection
            connection.writer.close()
        return None

    def close(self) -> None:
        for connection in self._idle:
            connection.writer.close()


class Orders(Connections):
    """Places orders at a server."""

    async def start(self, order_id: str) -> None:
        """Place an order.

        Raises:
            RefusedError: it was not accepted.
        """
        answer = await self.ask("POST", f"/orders/{order_id}/start", order(order_id))
        if answer.status != HTTPStatus.ACCEPTED:
            raise RefusedError(answer.status)


def order(order_id: str) -> bytes:
    """Return the body that places an order."""
    body: dict[str, Any] = {"payment_id": f"pay-{order_id}", "address": ADDRESS}
    return msgspec.json.encode(body)


@asynccontextmanager
async def placing(port: int) -> AsyncIterator[Orders]:
    orders = Orders(port)
    try:
        yield orders
    finally:
        orders.close()
