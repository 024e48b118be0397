"""What every client, worker and replayer of the fleet has, as a plugin of Temporal's SDK.

docs/plugin.md has a worker of somebody else that uses it.
"""

from collections.abc import Sequence
from typing import Self

from temporalio.client import ClientConfig
from temporalio.converter import DataConverter
from temporalio.plugin import SimplePlugin
from temporalio.worker import Interceptor, ReplayerConfig, WorkerConfig

from orderfleet.settings import CommonSettings
from orderfleet.temporal.converter import make_data_converter
from orderfleet.temporal.encryption import configure_data_converter
from orderfleet.temporal.payload_keys import PayloadKeys


class OrderfleetPlugin(SimplePlugin):
    """Payloads, their encryption, failures, spans, and what surrounds each activity and workflow.

    A client hands its plugins on to its workers, so give it to the client alone. It leaves the
    workflow runner, and so the sandbox, as they are.
    """

    def __init__(
        self, data_converter: DataConverter | None = None, *, telemetry: Sequence[SimplePlugin] = ()
    ) -> None:
        """Make the plugin of a client that does not encrypt.

        Args:
            data_converter: instead of the fleet's own without payload keys.
            telemetry: plugins that make spans, such as `observability.otel.provider.plugins`. They
                surround all else.
        """
        super().__init__("orderfleet", data_converter=data_converter or make_data_converter())
        self._telemetry = tuple(telemetry)

    @classmethod
    def from_settings(
        cls,
        settings: CommonSettings,
        *,
        keys: PayloadKeys | None = None,
        telemetry: Sequence[SimplePlugin] = (),
    ) -> Self:
        """Make a plugin that encrypts as the settings say.

        Args:
            settings: of any process of the fleet.
            keys: the process's payload keys; by default those of the settings.
            telemetry: as above.

        Raises:
            SettingsError: the file of keys is unusable.
        """
        keys = keys or PayloadKeys.from_settings(settings)
        return cls(configure_data_converter(keys, settings), telemetry=telemetry)

    @classmethod
    def from_env(cls, *, telemetry: Sequence[SimplePlugin] = ()) -> Self:
        """Make a plugin that encrypts as the fleet's own variables say.

        Raises:
            SettingsError: a variable or the file of keys is unusable.
        """
        return cls.from_settings(CommonSettings.from_env(), telemetry=telemetry)

    def configure_client(self, config: ClientConfig) -> ClientConfig:
        """Set the data converter, and make spans of calls."""
        for part in self._telemetry:
            config = part.configure_client(config)
        return super().configure_client(config)

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Add the interceptors inside those that the worker has itself."""
        for part in self._telemetry:
            config = part.configure_worker(config)
        config["interceptors"] = [*(config.get("interceptors") or []), *_interceptors()]
        return super().configure_worker(config)

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """Read histories as a client does, and run workflows as a worker does."""
        for part in self._telemetry:
            config = part.configure_replayer(config)
        config["interceptors"] = [*(config.get("interceptors") or []), *_interceptors()]
        return super().configure_replayer(config)


def _interceptors() -> list[Interceptor]:
    """Return the innermost interceptors of every activity and workflow."""
    # A client without a worker needs neither Postgres' driver nor a gateway's.
    from orderfleet.temporal.lost_futures import LostFuturesInterceptor  # noqa: PLC0415
    from orderfleet.temporal.retries import TransientRetryInterceptor  # noqa: PLC0415

    return [TransientRetryInterceptor(), LostFuturesInterceptor()]
