"""The HTTP client of a gateway, whose credentials follow their files."""

import asyncio
import time
from pathlib import Path
from typing import Final, Self

import httpx
import structlog

from orderfleet.domain.policies import GATEWAY_CALL_SECONDS
from orderfleet.gateways.credentials import (
    Credentials,
    CredentialsError,
    read_credentials,
    version_of,
)

log = structlog.stdlib.get_logger(__name__)

_KEPT_CONNECTIONS: Final = 100
# How often the files are looked at, which takes 20 us.
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
        self._directory = Path(credentials) if credentials else None
        self._version = version_of(self._directory) if self._directory else ()
        self._looked = time.monotonic()
        self._replaced: dict[asyncio.Task[None], httpx.AsyncClient] = {}
        self._use(read_credentials(url, self._directory))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat."""
        return self._credentials.secrets

    def current(self) -> httpx.AsyncClient:
        """Return the client, with credentials that are at most 1 s older than their files."""
        now = time.monotonic()
        if self._directory is not None and now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._look(self._directory)
        return self._client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        for closing in self._replaced:
            closing.cancel()
        for client in (self._client, *self._replaced.values()):
            await client.aclose()

    def _look(self, directory: Path) -> None:
        version = version_of(directory)
        if version == self._version:
            return
        try:
            credentials = read_credentials(self._url, directory)
        except CredentialsError as error:
            # Written one by one, files contradict each other for a moment.
            log.warning(
                "cannot read the gateway's credentials again; the previous ones stay in use",
                directory=str(directory),
                error=str(error),
            )
            self._version = version
            return
        if version_of(directory) != version:
            self._looked = 0.0
            return
        self._version = version
        previous = self._client
        self._use(credentials)
        closing = asyncio.create_task(_close(previous))
        self._replaced[closing] = previous
        closing.add_done_callback(self._replaced.pop)
        log.info("the gateway's credentials were read again", directory=str(directory))

    def _use(self, credentials: Credentials) -> None:
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
