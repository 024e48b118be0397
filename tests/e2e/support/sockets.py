"""Clients that are slow, silent or many, over plain sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(url: str, said: bytes = b"") -> AsyncIterator[Pair]:
    """Open a connection and send bytes."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(said)
        await writer.drain()
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def crowd(url: str, count: int, said: bytes = b"") -> AsyncIterator[list[Pair]]:
    """Open many connections, each sending the same bytes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(url, said)) for _ in range(count)]


async def answer(reader: asyncio.StreamReader, *, seconds: float = 30) -> bytes:
    """Read an answer's head and body; return nothing if the server closed the connection."""
    async with asyncio.timeout(seconds):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return b""
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head + await reader.readexactly(int(length or 0))


def status(answered: bytes) -> int:
    return int(answered.split(b" ", 2)[1])
