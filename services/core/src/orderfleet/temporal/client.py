"""The connection to Temporal of API, workers, CLI and replayer."""

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.client import Client
from temporalio.plugin import SimplePlugin
from temporalio.runtime import Runtime
from temporalio.service import KeepAliveConfig, RetryConfig, RPCError, RPCStatusCode

from orderfleet.environment import SettingsError
from orderfleet.polling import retry
from orderfleet.settings import CommonSettings
from orderfleet.temporal.credentials import TemporalCredentials
from orderfleet.temporal.namespace import require_namespace
from orderfleet.temporal.payload_keys import PayloadKeys
from orderfleet.temporal.plugin import OrderfleetPlugin

log = structlog.stdlib.get_logger(__name__)

# Any other status is an answer.
_AWAY: Final = frozenset(
    {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}
)
# Permanent: the same API key or certificate is refused again.
_REFUSED: Final = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED})
# The same in the SDK's error for a connection whose first call is refused, which has no type.
_REFUSED_FIRST_CALL: Final = re.compile(
    r"code: (?:Unauthenticated|PermissionDenied), message: \"((?:[^\"\\]|\\.)*)\""
)
_ADMISSION_SECONDS: Final = 2.0
# A server whose node lost its power closes no connection. With the SDK's defaults a connection to
# it ends after 45 s, and an attempt to open one after the kernel's 127 s. A server closes the
# connection of a client that pings more often than every 10 s.
_KEEP_ALIVE: Final = KeepAliveConfig(interval_millis=10_500, timeout_millis=3_000)
_CONNECT_TIMEOUT: Final = timedelta(seconds=2)


class RefusedError(SettingsError):
    """Temporal refuses this client: its API key or its certificate is not valid."""

    def __init__(self, address: str, reason: str) -> None:
        reason = " ".join(reason.replace("\\", "").split()) or "no reason"
        super().__init__(
            f"Temporal at {address} refuses this client ({reason}): check TEMPORAL_API_KEY,"
            " TEMPORAL_API_KEY_FILE and TEMPORAL_TLS_CLIENT_*"
        )


async def connect(
    settings: CommonSettings,
    *,
    runtime: Runtime | None = None,
    lazy: bool = False,
    retries: int = 10,
    telemetry: Sequence[SimplePlugin] = (),
    keys: PayloadKeys | None = None,
    credentials: TemporalCredentials | None = None,
) -> Client:
    """Connect, waiting up to `start_wait_seconds` for Temporal to come up.

    TLS, API key and metadata come from the environment by the SDK's own names (TEMPORAL_TLS_*,
    TEMPORAL_API_KEY, ...); address, namespace and the file of an API key from the settings. A lazy
    client connects at its first call; a worker's cannot be lazy. `retries` is how often the client
    repeats a call that fails because Temporal is busy or unavailable; 10 is the SDK's default. The
    client and its worker have OrderfleetPlugin, with plugins that make spans. `keys` are the
    process's payload keys, and `credentials` follow their files if the process lets them; by
    default both are those of the settings.

    Raises:
        TimeoutError: Temporal did not answer in time.
        RefusedError: it answered that the API key or the certificate is not valid.
        SettingsError: the address, a TLS setting or a file of keys is unusable.
    """
    credentials = credentials or TemporalCredentials(settings.temporal_api_key_file)
    config = credentials.config()
    config["target_host"] = settings.temporal_address
    config["namespace"] = settings.temporal_namespace
    retry_config = RetryConfig(max_retries=retries)
    plugin = OrderfleetPlugin.from_settings(settings, keys=keys, telemetry=telemetry)

    async def attempt() -> Client:
        try:
            return await Client.connect(
                **config,
                runtime=runtime,
                lazy=lazy,
                retry_config=retry_config,
                keep_alive_config=_KEEP_ALIVE,
                connect_timeout=_CONNECT_TIMEOUT,
                plugins=[plugin, credentials],
            )
        except RuntimeError as error:
            # The SDK's error for any failure of the connection or of the first call.
            if refused := _REFUSED_FIRST_CALL.search(str(error)):
                raise RefusedError(settings.temporal_address, refused[1]) from error
            raise ConnectionError(str(error)) from error
        except ValueError as error:
            raise SettingsError(f"TEMPORAL_ADDRESS or TEMPORAL_TLS_*: {error}") from error

    def log_waiting(error: Exception) -> None:
        log.warning("waiting for Temporal", address=settings.temporal_address, error=str(error))

    try:
        return await retry(
            attempt,
            on=ConnectionError,
            seconds=settings.start_wait_seconds,
            longest_pause=2.0,
            on_failure=log_waiting,
        )
    except ConnectionError as error:
        message = f"Temporal at {settings.temporal_address} did not answer"
        raise TimeoutError(f"{message} in {settings.start_wait_seconds:g} s") from error


async def check_admitted(client: Client) -> None:
    """Check at start that Temporal does not refuse this client; what else fails is no matter here.

    Raises:
        RefusedError: it answers that the API key or the certificate is not valid.
    """
    address = client.service_client.config.target_host
    try:
        async with asyncio.timeout(_ADMISSION_SECONDS):
            await require_namespace(client)
    except TimeoutError:
        return
    except RPCError as error:
        if error.status in _REFUSED:
            raise RefusedError(address, error.message) from error
    except RuntimeError as error:
        # A lazy client's, at its first call.
        if refused := _REFUSED_FIRST_CALL.search(str(error)):
            raise RefusedError(address, refused[1]) from error
        if not is_away(error):
            raise


def is_absent(error: RPCError) -> bool:
    """Tell whether the workflow does not exist. A missing namespace is NOT_FOUND as well."""
    if error.status is not RPCStatusCode.NOT_FOUND:
        return False
    namespace = NamespaceNotFoundFailure.DESCRIPTOR
    return not any(detail.Is(namespace) for detail in error.grpc_status.details)


def is_away(error: Exception) -> bool:
    """Tell whether a call failed because Temporal is away; otherwise Temporal answered, or a bug.

    The SDK has no type of its own for a lazy client that fails to connect.
    """
    if isinstance(error, RPCError):
        return error.status in _AWAY
    if isinstance(error, RuntimeError):
        return str(error).startswith("Failed client connect")
    return isinstance(error, TimeoutError)
