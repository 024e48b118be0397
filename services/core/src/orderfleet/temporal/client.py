"""Connect to Temporal: one way for API, workers, CLI and replayer."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.client import Client, Plugin
from temporalio.envconfig import ClientConfigProfile
from temporalio.runtime import Runtime
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from orderfleet.settings import CommonSettings
from orderfleet.temporal.converter import DATA_CONVERTER

log = structlog.stdlib.get_logger(__name__)

# Told by the server, these do not go away by waiting.
_FINAL: Final = frozenset(
    {
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.INVALID_ARGUMENT,
    }
)


async def connect(
    settings: CommonSettings,
    *,
    runtime: Runtime | None = None,
    lazy: bool = False,
    retries: int = 10,
    plugins: Sequence[Plugin] = (),
) -> Client:
    """Connect, waiting up to `start_wait_seconds` for Temporal to come up.

    TLS, API key and metadata come from the environment by the SDK's own names (TEMPORAL_TLS_*,
    TEMPORAL_API_KEY, ...); address and namespace from the settings. A lazy client connects
    at its first call; a worker's cannot be lazy. `retries` is how often the client repeats a
    call that Temporal was too busy or too absent to answer; 10 is the SDK's own. A worker has the
    plugins of its client.

    Raises:
        TimeoutError: Temporal did not answer in time.
        RPCError: it answered that it will not have us.
    """
    config = ClientConfigProfile.load(disable_file=True).to_client_connect_config()
    config["target_host"] = settings.temporal_address
    config["namespace"] = settings.temporal_namespace
    retry = RetryConfig(max_retries=retries)
    deadline = asyncio.get_running_loop().time() + settings.start_wait_seconds
    pause = 0.1
    while True:
        try:
            return await Client.connect(
                **config,
                data_converter=DATA_CONVERTER,
                runtime=runtime,
                lazy=lazy,
                retry_config=retry,
                plugins=plugins,
            )
        except (RuntimeError, RPCError) as error:
            # The SDK reports a refused connection as a plain RuntimeError.
            if isinstance(error, RPCError) and error.status in _FINAL:
                raise
            if asyncio.get_running_loop().time() + pause > deadline:
                message = f"Temporal at {settings.temporal_address} did not answer"
                raise TimeoutError(f"{message} in {settings.start_wait_seconds:g} s") from error
            log.warning("waiting for Temporal", address=settings.temporal_address)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)


def is_absent(error: RPCError) -> bool:
    """Tell whether Temporal knows no such workflow; a missing namespace says NOT_FOUND too."""
    if error.status is not RPCStatusCode.NOT_FOUND:
        return False
    namespace = NamespaceNotFoundFailure.DESCRIPTOR
    return not any(detail.Is(namespace) for detail in error.grpc_status.details)
