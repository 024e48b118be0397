"""Temporal's API key and certificates, which connections follow while the process runs.

The environment holds them by the SDK's own names (TEMPORAL_API_KEY, TEMPORAL_TLS_*); those that are
files are read again when they change, and so is TEMPORAL_API_KEY_FILE. A new API key goes with the
next call. New certificates need a new connection, which takes the place of the old one once
Temporal has answered on it; what runs on the old one ends there.
"""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn
from weakref import WeakSet

import structlog
from temporalio.client import Client, ClientConfig, Plugin
from temporalio.envconfig import ClientConfigProfile, ClientConnectConfig
from temporalio.service import ConnectConfig, ServiceClient, TLSConfig

from orderfleet.settings import TEMPORAL_API_KEY_FILE, naming
from orderfleet.watched_files import LOOK_SECONDS, WatchedFiles, read_line

log = structlog.stdlib.get_logger(__name__)

_API_KEY: Final = "TEMPORAL_API_KEY"
_PATHS: Final = (
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
    "TEMPORAL_TLS_CLIENT_CERT_PATH",
    "TEMPORAL_TLS_CLIENT_KEY_PATH",
)


class TemporalCredentials(Plugin):
    """The credentials of a process, and the connections that use them."""

    def __init__(self, api_key_file: str = "") -> None:
        """Read the files; empty is no file.

        Raises:
            SettingsError: a file cannot be read, or is malformed.
        """
        key_file = Path(api_key_file) if api_key_file else None
        paths = [Path(path) for name in _PATHS if (path := os.environ.get(name))]
        paths += [key_file] if key_file else []
        self.files: WatchedFiles[ClientConnectConfig] | None = None
        self._connections: WeakSet[_Connection] = WeakSet()
        read = partial(_read, key_file)
        with naming(f"{TEMPORAL_API_KEY_FILE} or TEMPORAL_TLS_*"):
            if paths:
                self.files = WatchedFiles("temporal", paths, read)
            self._config = self.files.get() if self.files else read()

    def config(self) -> ClientConnectConfig:
        """Return what the environment and the files say now about a connection."""
        return (self.files.get() if self.files else self._config).copy()

    async def follow(self, on_reconnect: Callable[[], None] = lambda: None) -> NoReturn:
        """Let the connections follow the files, until cancelled.

        Args:
            on_reconnect: called when a connection has been replaced: a worker has to take it.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.files is None:
                continue
            config = self.files.get(LOOK_SECONDS / 2)
            for connection in tuple(self._connections):
                try:
                    if await connection.use(config):
                        on_reconnect()
                except RuntimeError as error:
                    # The SDK's error for any failure of a connection.
                    self.files.fail(" ".join(str(error).split()))

    def configure_client(self, config: ClientConfig) -> ClientConfig:
        """Change nothing else about a client."""
        return config

    async def connect_service_client(
        self,
        config: ConnectConfig,
        next: Callable[[ConnectConfig], Awaitable[ServiceClient]],  # noqa: A002 (the SDK's name)
    ) -> ServiceClient:
        """Connect; the connection then follows the files, and can be reopened."""
        connection = _Connection(await next(config), next, self)
        self._connections.add(connection)
        return connection


class _Connection(ServiceClient):
    """A connection of a client, for which another one can be substituted."""

    def __init__(
        self,
        service: ServiceClient,
        connect: Callable[[ConnectConfig], Awaitable[ServiceClient]],
        credentials: TemporalCredentials,
    ) -> None:
        super().__init__(service.config)
        self.credentials = credentials
        self._service = service
        self._connect = connect

    async def use(self, config: ClientConnectConfig) -> bool:
        """Use these credentials from now on; return whether that took a new connection.

        Raises:
            RuntimeError: Temporal does not answer on the new connection, or refuses it.
        """
        api_key, tls = config.get("api_key"), config.get("tls")
        if tls != self.config.tls:
            wanted = replace(self.config, api_key=api_key, tls=tls, lazy=False)
            self._service = await self._connect(wanted)
            # The client stays lazy, if it is: nobody may depend on when the files change.
            self.config.tls = tls
            self.config.api_key = api_key
            log.info("connected to Temporal with new certificates")
            return True
        if api_key != self.config.api_key:
            self.config.api_key = api_key
            self._service.update_api_key(api_key)
            log.info("calls of Temporal have a new API key")
        return False

    async def reopen(self) -> None:
        """Go on with a new connection.

        Raises:
            RuntimeError: Temporal does not answer on it.
        """
        self._service = await self._connect(replace(self.config, lazy=False))

    @property
    def worker_service_client(self) -> Any:
        return self._service.worker_service_client

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        self._service.update_rpc_metadata(metadata)

    def update_api_key(self, api_key: str | None) -> None:
        self._service.update_api_key(api_key)

    async def _rpc_call(self, *args: Any, **options: Any) -> Any:
        return await self._service._rpc_call(*args, **options)  # noqa: SLF001 (a wrapper has to)


async def follow_credentials(client: Client, on_reconnect: Callable[[], None]) -> None:
    """Let the connections of a client's process follow their files, if any, until cancelled."""
    if isinstance(client.service_client, _Connection):
        await client.service_client.credentials.follow(on_reconnect)


async def reopen_connection(client: Client) -> None:
    """Give a client a new connection; what runs on the old one ends there.

    Raises:
        RuntimeError: Temporal does not answer on the new one, and the client keeps the old one.
    """
    if isinstance(client.service_client, _Connection):
        await client.service_client.reopen()


def _read(key_file: Path | None) -> ClientConnectConfig:
    environ = dict(os.environ)
    if key_file is not None:
        environ[_API_KEY] = read_line(key_file)
    profile = ClientConfigProfile.load(disable_file=True, override_env_vars=environ)
    config = profile.to_client_connect_config()
    api_key = config.get("api_key") or ""
    if not (api_key.isascii() and api_key.isprintable()):
        raise ValueError("expected an API key of visible ASCII characters")
    tls = config.get("tls")
    if isinstance(tls, TLSConfig):
        _check(tls)
    return config


def _check(tls: TLSConfig) -> None:
    """Check what the SDK would report only once it connects."""
    # Only where there are certificates: the package takes 9 MiB.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    if bool(tls.client_cert) != bool(tls.client_private_key):
        raise ValueError("a client certificate and its key need each other")
    try:
        if tls.server_root_ca_cert:
            ssl.create_default_context(cadata=tls.server_root_ca_cert.decode("ascii"))
        if not (tls.client_cert and tls.client_private_key):
            return
        certificate = x509.load_pem_x509_certificates(tls.client_cert)[0]
        key = load_pem_private_key(tls.client_private_key, password=None)
    except (ssl.SSLError, ValueError, TypeError):
        raise ValueError("expected certificates and a key in PEM") from None
    if certificate.public_key() != key.public_key():
        raise ValueError("the client certificate belongs to another key")
