"""The connection to Temporal of API, workers, CLI and replayer."""

from collections.abc import Sequence
from typing import Final

import structlog
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.client import Client, Plugin
from temporalio.runtime import Runtime
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from orderfleet.environment import SettingsError
from orderfleet.polling import retry
from orderfleet.settings import CommonSettings
from orderfleet.temporal.credentials import TemporalCredentials
from orderfleet.temporal.encryption import configure_data_converter
from orderfleet.temporal.payload_keys import PayloadKeys

log = structlog.stdlib.get_logger(__name__)

# Any other status is an answer.
_AWAY: Final = frozenset(
    {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}
)


async def connect(
    settings: CommonSettings,
    *,
    runtime: Runtime | None = None,
    lazy: bool = False,
    retries: int = 10,
    plugins: Sequence[Plugin] = (),
    keys: PayloadKeys | None = None,
    credentials: TemporalCredentials | None = None,
) -> Client:
    """Connect, waiting up to `start_wait_seconds` for Temporal to come up.

    TLS, API key and metadata come from the environment by the SDK's own names (TEMPORAL_TLS_*,
    TEMPORAL_API_KEY, ...); address, namespace and the file of an API key from the settings. A lazy
    client connects at its first call; a worker's cannot be lazy. `retries` is how often the client
    repeats a call that fails because Temporal is busy or unavailable; 10 is the SDK's default. A
    worker has the plugins of its client. `keys` are the process's payload keys, and `credentials`
    follow their files if the process lets them; by default both are those of the settings.

    Raises:
        TimeoutError: Temporal did not answer in time.
        SettingsError: the address, a TLS setting or a file of keys is unusable.
    """
    credentials = credentials or TemporalCredentials(settings.temporal_api_key_file)
    config = credentials.config()
    config["target_host"] = settings.temporal_address
    config["namespace"] = settings.temporal_namespace
    retry_config = RetryConfig(max_retries=retries)
    converter = configure_data_converter(keys or PayloadKeys.from_settings(settings), settings)

    async def attempt() -> Client:
        try:
            return await Client.connect(
                **config,
                data_converter=converter,
                runtime=runtime,
                lazy=lazy,
                retry_config=retry_config,
                plugins=[*plugins, *credentials.plugins],
            )
        except RuntimeError as error:
            # The SDK's error for any failure of the connection or of the first call.
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
