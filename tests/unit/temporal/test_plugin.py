"""One plugin is what every client, worker and replayer of the fleet has."""

from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.plugin import SimplePlugin
from temporalio.worker import Interceptor, Replayer, WorkerConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from orderfleet.environment import SettingsError
from orderfleet.observability.otel import provider
from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
from orderfleet.temporal.converter import PayloadConverter
from orderfleet.temporal.credentials import TemporalCredentials
from orderfleet.temporal.encryption import EncryptionCodec, keys_of
from orderfleet.temporal.failure_converter import BoundedFailureConverter, EncodedFailureConverter
from orderfleet.temporal.payload_keys import make_key
from orderfleet.temporal.plugin import OrderfleetPlugin
from orderfleet_order_worker.main import WORKFLOWS

# Nothing listens there; a lazy client does not mind.
ADDRESS = "127.0.0.1:1"


class Own(Interceptor):
    """Of a worker that has one itself."""


async def a_client(*plugins: SimplePlugin) -> Client:
    return await Client.connect(ADDRESS, lazy=True, plugins=plugins)


def worker_interceptors(client: Client) -> list[str]:
    """Return the interceptors that a worker of a client gets, the outermost first."""
    options = client.config(active_config=True)
    runner = SandboxedWorkflowRunner()
    config = WorkerConfig(client=client, interceptors=[Own()], workflow_runner=runner)
    for plugin in options["plugins"]:
        assert isinstance(plugin, SimplePlugin)
        config = plugin.configure_worker(config)
    outer = [each for each in options["interceptors"] if isinstance(each, Interceptor)]
    return [type(each).__name__ for each in [*outer, *config["interceptors"]]]


def converters(converter: DataConverter) -> tuple[object, object]:
    return converter.payload_converter_class, converter.failure_converter_class


async def test_a_client_speaks_as_the_fleet_does() -> None:
    client = await a_client(OrderfleetPlugin())
    assert converters(client.data_converter) == (PayloadConverter, BoundedFailureConverter)
    assert not keys_of(client).on
    assert client.config()["interceptors"] == []


async def test_it_encrypts_as_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{make_key()}\n")
    monkeypatch.setenv("ORDERFLEET_PAYLOAD_KEYS_FILE", str(keys))
    client = await a_client(OrderfleetPlugin.from_env())
    assert converters(client.data_converter) == (PayloadConverter, EncodedFailureConverter)
    assert isinstance(client.data_converter.payload_codec, EncryptionCodec)
    assert keys_of(client).on
    keys.write_text("malformed\n")
    with pytest.raises(SettingsError, match="ORDERFLEET_PAYLOAD_KEYS_FILE"):
        OrderfleetPlugin.from_env()


async def test_what_surrounds_an_activity_is_around_and_inside_of_the_worker_s_own() -> None:
    client = await a_client(OrderfleetPlugin())
    inner = ["TransientRetryInterceptor", "LostFuturesInterceptor"]
    assert worker_interceptors(client) == ["Own", *inner]
    traced = await a_client(OrderfleetPlugin(telemetry=provider.plugins()))
    outer = ["TraceHeaderFilter", "OpenTelemetryInterceptor", "FailedAttempts"]
    assert worker_interceptors(traced) == [*outer, "Own", *inner]
    # Other clients of a process do not share what a plugin has gathered.
    assert worker_interceptors(client) == ["Own", *inner]


async def test_the_fleet_s_own_clients_have_it() -> None:
    client = await connect(CommonSettings(temporal_address=ADDRESS), lazy=True)
    plugins = [type(plugin) for plugin in client.config()["plugins"]]
    assert plugins == [OrderfleetPlugin, TemporalCredentials]


def test_a_replayer_has_the_same() -> None:
    config = Replayer(workflows=WORKFLOWS, plugins=[OrderfleetPlugin()]).config(active_config=True)
    assert converters(config["data_converter"]) == (PayloadConverter, BoundedFailureConverter)
    assert "LostFuturesInterceptor" in [type(each).__name__ for each in config["interceptors"]]
