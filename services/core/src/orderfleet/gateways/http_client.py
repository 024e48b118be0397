"""The HTTP client of a gateway, whose credentials follow their files."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Final, Self

import httpx

from orderfleet.domain.policies import GATEWAY_CALL_SECONDS
from orderfleet.gateways.credentials import FILES, GatewayCredentials, read_credentials
from orderfleet.watched_files import WatchedFiles

_KEPT_CONNECTIONS: Final = 100
# How often the files are looked at.
_LOOK_SECONDS: Final = 1.0
_HEADERS: Final = {
    "content-type": "application/json",
    "accept": "application/json",
    # Compression gains nothing for a line of JSON.
    "accept-encoding": "identity",
}


class GatewayClient:
    """A client for a gateway's URL; it is replaced when the files of its credentials change.

    Files that cannot be read, or contradict each other, leave the previous credentials in use.
    """

    def __init__(self, url: str, credentials: str = "") -> None:
        """Read the credentials.

        Args:
            url: the gateway's, with or without a user.
            credentials: a directory; empty is none.

        Raises:
            CredentialsError: the files are unusable.
        """
        self._url = url
        self._replaced: dict[asyncio.Task[None], httpx.AsyncClient] = {}
        self.files: WatchedFiles[GatewayCredentials] | None = None
        if credentials:
            directory = Path(credentials)
            paths = [directory / name for name in FILES]
            read = partial(read_credentials, url, directory)
            self.files = WatchedFiles("gateway", paths, read)
        self._use(self.files.get() if self.files else read_credentials(url, None))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat."""
        return self._credentials.secrets

    def current(self) -> httpx.AsyncClient:
        """Return the client, with credentials that are at most 1 s older than their files."""
        if self.files and (credentials := self.files.get(_LOOK_SECONDS)) is not self._credentials:
            previous = self._client
            self._use(credentials)
            closing = asyncio.create_task(_close(previous))
            self._replaced[closing] = previous
            closing.add_done_callback(self._replaced.pop)
        return self._client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        for closing in self._replaced:
            closing.cancel()
        for client in (self._client, *self._replaced.values()):
            await client.aclose()

    def _use(self, credentials: GatewayCredentials) -> None:
        self._credentials = credentials
        self._client = httpx.AsyncClient(
            base_url=self._url.rstrip("/"),
            headers=_HEADERS | dict(credentials.headers),
            verify=credentials.tls or True,
            timeout=GATEWAY_CALL_SECONDS,
            # Unlimited: a worker's activity slots limit the calls. With a limit, cancelling a call
            # that waits for a connection, as happens when the gateway hangs, leaks a place in the
            # pool (httpcore issue 1093): after 100 of them no call got through until a restart.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_CONNECTIONS),
        )


async def _close(client: httpx.AsyncClient) -> None:
    """Close a client once its last call has ended."""
    await asyncio.sleep(GATEWAY_CALL_SECONDS + 1)
    await client.aclose()
