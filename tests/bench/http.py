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


class Connection(NamedTuple):
    """One connection, for one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection(LOOPBACK, port))

    async def ask(self, method: str, path: str, body: bytes = b"") -> int:
        """Send a request, read the answer, and return its status."""
        head = f"{method} {path} HTTP/1.1\r\nhost: {LOOPBACK}\r\ncontent-length: {len(body)}\r\n"
        kind = "content-type: application/json\r\n" if body else ""
        self.writer.write(f"{head}{kind}\r\n".encode() + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        length = next(line for line in lines if line.lower().startswith(_LENGTH))
        await self.reader.readexactly(int(length[len(_LENGTH) :]))
        return int(lines[0].split(b" ", 2)[1])


class Orders:
    """Places orders at a server, on as many connections as there are requests under way."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[Connection] = []

    async def start(self, order_id: str) -> None:
        """Place an order.

        Raises:
            RefusedError: it was not accepted.
        """
        body: dict[str, Any] = {"payment_id": f"pay-{order_id}", "address": ADDRESS}
        connection = self._kept() or await Connection.open(self.port)
        status = await connection.ask(
            "POST", f"/orders/{order_id}/start", msgspec.json.encode(body)
        )
        self._idle.append(connection)
        if status != HTTPStatus.ACCEPTED:
            raise RefusedError(status)

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


@asynccontextmanager
async def placing(port: int) -> AsyncIterator[Orders]:
    orders = Orders(port)
    try:
        yield orders
    finally:
        orders.close()
