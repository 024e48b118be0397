"""Temporal's certificates and API key change while a worker and an API go on with orders."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from temporalio.client import Client

from orderfleet.domain.orders import OrderState
from orderfleet.environment import SettingsError
from orderfleet.runtime.process import Lifecycle
from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
from orderfleet.temporal.credentials import TemporalCredentials
from orderfleet_api import order_service
from orderfleet_api.backends import Backends
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id, run_order_worker
from tests.integration.support.proxy import wire_to
from tests.support.certificates import Pair, make_pair, needs_openssl
from tests.support.guarded_temporal import guard


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    directory = tmp_path_factory.mktemp("certificates")
    made = {}
    for number in (1, 2, 3):
        authority = made[f"authority-{number}"] = make_pair(directory, f"authority-{number}")
        for name in (f"server-{number}", f"client-{number}"):
            made[name] = make_pair(directory, name, authority)
    return made


def _server(pairs: dict[str, Pair], number: int, *trusted: int) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pairs[f"server-{number}"])
    for other in trusted:
        context.load_verify_locations(pairs[f"authority-{other}"].certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    return context


class _Files:
    """Files that the variables of the SDK name, mounted as Kubernetes does it."""

    def __init__(self, mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._mount = mount
        self._version = 0
        directory = mount / "..data"
        self.authority = directory / "ca.crt"
        self.pair = Pair(directory / "tls.crt", directory / "tls.key")
        for name, path in (
            ("SERVER_CA_CERT_PATH", self.authority),
            ("CLIENT_CERT_PATH", self.pair.certificate),
            ("CLIENT_KEY_PATH", self.pair.key),
        ):
            monkeypatch.setenv(f"TEMPORAL_TLS_{name}", str(path))

    def write(self, pair: Pair, *authorities: Pair) -> None:
        authority = b"".join(pair.certificate.read_bytes() for pair in authorities)
        self.replace(authority, pair.certificate.read_bytes(), pair.key.read_bytes())

    def replace(self, *texts: bytes) -> None:
        """Replace the link to the directory of all files."""
        self._version += 1
        directory = self._mount / f"..{self._version}"
        directory.mkdir()
        for path, text in zip((self.authority, *self.pair), texts, strict=True):
            (directory / path.name).write_bytes(text)
        link = self._mount / "..data_tmp"
        link.symlink_to(directory.name)
        link.replace(self._mount / "..data")


@asynccontextmanager
async def _working(
    fleet: Fleet, credentials: TemporalCredentials, address: str, port: int
) -> AsyncIterator[Backends]:
    """Run an order worker as its program does; yield the backends of an API."""
    settings = fleet.order_settings(temporal_address=address, probe_port=port)
    reconnect = partial(connect, settings, credentials=credentials)
    client = await reconnect()
    lifecycle = Lifecycle()
    running = asyncio.create_task(
        run_order_worker(
            lambda client: fleet.order_worker(client=client),
            client,
            settings,
            lifecycle,
            reconnect=reconnect,
        )
    )
    async with fleet.shipping_worker():
        of_api: Client = await connect(settings, lazy=True, credentials=credentials)
        yield Backends(fleet.pool, of_api, fleet.backends().settings)
        lifecycle.request_shutdown()
        await running


async def _fulfil(fleet: Fleet, backends: Backends) -> None:
    order_id = new_id()
    await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
    assert (await fleet.result(order_id)).state is OrderState.FULFILLED


@needs_openssl
async def test_certificates_and_authorities_of_both_sides_are_replaced(
    fleet: Fleet,
    pairs: dict[str, Pair],
    tmp_path: Path,
    unused_tcp_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = int(fleet.address.rsplit(":", 1)[1])
    files = _Files(tmp_path, monkeypatch)
    files.write(pairs["client-1"], pairs["authority-1"])
    credentials = TemporalCredentials()
    assert credentials.files
    async with (
        wire_to(target, _server(pairs, 1, 1, 2)) as wire,
        _working(fleet, credentials, f"127.0.0.1:{wire.port}", unused_tcp_port) as backends,
    ):
        await _fulfil(fleet, backends)

        async def failed() -> bool:
            assert credentials.files
            return credentials.files.failures >= 1

        # The server does not trust this certificate: everything goes on with the one before.
        files.write(pairs["client-3"], pairs["authority-1"])
        with capture_logs() as logs:
            await eventually(failed)
        await _fulfil(fleet, backends)
        assert [line["log_level"] for line in logs if "cannot reload" in line["event"]] == [
            "warning"
        ]
        with capture_logs() as logs:
            files.write(pairs["client-2"], pairs["authority-1"], pairs["authority-2"])

            async def connected() -> bool:
                events = [line["event"] for line in logs]
                return events.count("connected to Temporal with new certificates") == 2

            # The worker's client and the API's.
            await eventually(connected)
        await _fulfil(fleet, backends)
        # The first authority is trusted by nobody any more, and no connection of then lives on.
        wire.tls = _server(pairs, 2, 2)
        await wire.cut()
        await wire.mend()
        await _fulfil(fleet, backends)


async def test_an_api_key_is_replaced(
    fleet: Fleet, tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_TLS", "false")
    path = tmp_path / "key"
    path.write_text("first\n")
    credentials = TemporalCredentials(str(path))
    async with (
        guard(fleet.address, "first") as (address, guarded),
        _working(fleet, credentials, address, unused_tcp_port) as backends,
    ):
        await _fulfil(fleet, backends)
        with capture_logs() as logs:
            path.write_text("second\n")

            async def changed() -> bool:
                events = [line["event"] for line in logs]
                return events.count("calls of Temporal have a new API key") == 2

            await eventually(changed)
        guarded.keys = {"second"}
        await _fulfil(fleet, backends)
        assert "second" not in str(logs)


def test_unusable_files_are_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"TEMPORAL_API_KEY_FILE or .*: No such file"):
        TemporalCredentials(str(tmp_path / "key"))
    files = _Files(tmp_path, monkeypatch)
    files.replace(b"hidden", b"hidden", b"hidden")
    with pytest.raises(SettingsError, match="expected certificates and a key in PEM") as refused:
        TemporalCredentials(CommonSettings().temporal_api_key_file)
    assert "hidden" not in str(refused.value)


def test_a_certificate_needs_its_key_and_a_key_can_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "hidden\nkey")
    with pytest.raises(SettingsError, match="an API key of visible ASCII characters") as refused:
        TemporalCredentials()
    assert "hidden" not in str(refused.value)
    monkeypatch.delenv("TEMPORAL_API_KEY")
    (tmp_path / "tls.crt").write_text("a certificate")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(tmp_path / "tls.crt"))
    with pytest.raises(SettingsError, match="and its key need each other"):
        TemporalCredentials()
