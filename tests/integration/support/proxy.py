"""A TCP proxy on loopback that can be cut while the server stays up."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Wire:
    """Forwards bytes until it is cut, and again once it is mended; with TLS, it decrypts them."""

    def __init__(self, target_port: int, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._swallows = False
        self._silent: set[asyncio.StreamWriter] = set()
        self.port = 0

    def swallow(self) -> None:
        """Accept connections and bytes from now on, and forward nothing."""
        self._swallows = True

    def silence(self) -> None:
        """Forward nothing more on the open connections, which stay open; new ones are forwarded."""
        self._silent |= self._open

    async def mend(self) -> None:
        """Listen, on the same port as before."""
        self._swallows = False
        self._server = await asyncio.start_server(
            self._pass_on, "127.0.0.1", self.port, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Refuse new connections and abort the open ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def tell(self, data: bytes) -> None:
        """Send all clients bytes in the server's name."""
        for writer in self._clients:
            writer.write(data)
            await writer.drain()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(
                "127.0.0.1", self._target_port
            )
        except ConnectionError:
            # The server is down, and the client shall see that.
            writer.transport.abort()
            return
        both = {writer, there_writer}
        self._open |= both
        self._clients.add(writer)
        try:
            await asyncio.gather(self._copy(reader, there_writer), self._copy(there_reader, writer))
        finally:
            self._open -= both
            self._clients.remove(writer)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if not (self._swallows or writer in self._silent):
                    writer.write(data)
                    await writer.drain()
        writer.close()


@asynccontextmanager
async def wire_to(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """Run a proxy of a port on loopback."""
    wire = Wire(port, tls)
    await wire.mend()
    try:
        yield wire
    finally:
        await wire.cut()


@asynccontextmanager
async def wire_to_postgres(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """Run a proxy of Postgres; yield it and the URL that leads through it."""
    port = urlsplit(url).port
    assert port is not None
    async with wire_to(port) as wire:
        yield wire, url.replace(f":{port}/", f":{wire.port}/")
