"""Credentials of a gateway: from files, read again when they change, and never shown."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from orderfleet.environment import MASK
from orderfleet.gateways import http_client
from orderfleet.gateways.credentials import CredentialsError, GatewayCredentials, read_credentials
from orderfleet.gateways.factory import make_carrier, make_payment_gateway
from orderfleet.gateways.http import HTTPCarrier, HTTPPaymentGateway
from orderfleet.gateways.http_client import GatewayClient
from orderfleet.gateways.protocols import (
    Charge,
    GatewayRefusedError,
    GatewayUnavailableError,
)
from orderfleet.store.pool import Pool
from orderfleet.watched_files import WatchedFiles
from orderfleet_order_worker.settings import OrderWorkerSettings
from orderfleet_shipping_worker.settings import ShippingWorkerSettings
from tests.support.certificates import Pair, make_pair, needs_openssl
from tests.support.http_servers import served
from tests.unit.test_settings import refused

_CHARGE = Charge(key="pay-1", order_id="o-1", amount="1.50", currency="USD")
_URL = "https://gateway.example"
_HTTP = "http://gateway.example"


def _files(directory: Path, **files: str) -> Path:
    """Write files; `ca_crt` is `ca.crt`."""
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("_", ".")).write_text(text)
    return directory


@pytest.mark.parametrize(
    ("files", "headers"),
    [
        ({"token": "t0p.secret=\n"}, {"authorization": "Bearer t0p.secret="}),
        (
            {"username": "shop", "password": "it's: sésame\r\n"},
            {"authorization": "Basic " + b64encode("shop:it's: sésame".encode()).decode()},
        ),
        (
            {"headers": "X-Api-Key: k 1\n\nX-Merchant:m-1\r\n", "token": "t"},
            {"x-api-key": "k 1", "x-merchant": "m-1", "authorization": "Bearer t"},
        ),
        ({"headers": "Authorization: Custom abc"}, {"authorization": "Custom abc"}),
    ],
)
def test_headers_come_from_files(
    tmp_path: Path, files: dict[str, str], headers: dict[str, str]
) -> None:
    credentials = read_credentials(_HTTP, _files(tmp_path, **files))
    assert credentials.headers == headers
    for text in (repr(credentials), str(credentials)):
        assert not any(value in text for value in headers.values())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has none of token, username"),
        ({"other": "x"}, "has none of token, username"),
        ({"token": ""}, "token: expected one line"),
        ({"token": "hidden one"}, "token: expected one line"),
        ({"token": "hidden\nhidden"}, "token: expected one line"),
        ({"username": "hidden"}, "username without password"),
        ({"password": "hidden"}, "password without username"),
        ({"username": "hid:den", "password": "p"}, "username: expected one line"),
        ({"username": "u", "password": "p", "token": "t"}, "more than one authorization"),
        ({"headers": "authorization: x", "token": "t"}, "more than one authorization"),
        ({"headers": "hidden"}, "headers, line 1: expected `Name: value`"),
        ({"headers": "X: y\nX-Hidden : y"}, "headers, line 2: expected `Name: value`"),
        ({"headers": "X: y\nx: hidden"}, "headers, line 2: x is repeated"),
        ({"headers": "Host: hidden"}, "headers, line 1: host cannot be set"),
        ({"headers": "X: a\x1bhidden"}, "headers, line 1: expected `Name: value`"),
        ({"ca_crt": "hidden"}, "ca.crt: expected certificates in PEM"),
        ({"tls_crt": "hidden"}, "tls.crt without tls.key"),
        ({"tls_key": "hidden"}, "tls.key without tls.crt"),
        ({"tls_crt": "hidden", "tls_key": "hidden"}, "expected a certificate and its key"),
        ({"token": "x" * 65_537}, "token has more than 65536 bytes"),
    ],
)
def test_wrong_files_end_a_worker_with_one_line_that_does_not_show_them(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    directory = _files(tmp_path / "secret", **files)
    for class_, variable in (
        (OrderWorkerSettings, "ORDERFLEET_PAYMENT_GATEWAY"),
        (ShippingWorkerSettings, "ORDERFLEET_CARRIER"),
    ):
        settings = {f"{variable}_URL": _URL, f"{variable}_CREDENTIALS": str(directory)}
        error = refused(class_, **settings)
        assert error.startswith(f"{variable}_CREDENTIALS: ")
        assert message in error
        assert "hidden" not in error


def test_credentials_belong_to_a_url(tmp_path: Path) -> None:
    directory = str(_files(tmp_path, token="t"))
    name = "ORDERFLEET_CARRIER_CREDENTIALS"
    assert "needs ORDERFLEET_CARRIER_URL" in refused(
        ShippingWorkerSettings, ORDERFLEET_CARRIER_CREDENTIALS=directory
    )
    for url, path, message in (
        ("http://u:p@h", directory, "more than one authorization"),
        (_HTTP, f"{directory}/token", "is not a directory"),
    ):
        with pytest.raises(CredentialsError, match=message):
            read_credentials(url, Path(path))
    settings = {"ORDERFLEET_CARRIER_URL": _HTTP, name: directory}
    assert ShippingWorkerSettings.from_env(settings).shown()[name] == directory


class _Remote:
    """A gateway over HTTP that records headers, and answers as configured."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.answer = (200, b'{"status": "captured"}')
        self.before: Callable[[], object] = lambda: None

    @contextmanager
    def serve(self, tls: ssl.SSLContext | None = None) -> Iterator[str]:
        remote = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                remote.headers.append({k.lower(): v for k, v in self.headers.items()})
                remote.before()
                status, body = remote.answer
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with served(Handler, tls) as url:
            yield url


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "_LOOK_SECONDS", 0.0)


@pytest.mark.usefixtures("looking")
async def test_a_rotated_token_is_used_from_the_next_call_on(tmp_path: Path) -> None:
    """As Kubernetes does it: a link to the directory of all files is replaced."""
    remote = _Remote()
    _files(tmp_path / "v1", token="first")
    _files(tmp_path / "v2", token="second")
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted/token").symlink_to("../..data/token")
    with remote.serve() as url:
        gateway = HTTPPaymentGateway(url, str(tmp_path / "mounted"))
        async with gateway:
            await gateway.charge(_CHARGE)
            (tmp_path / "next").symlink_to("v2")
            # During a call, which ends on its own connection.
            remote.before = lambda: (tmp_path / "next").replace(tmp_path / "..data")
            await gateway.charge(_CHARGE)
            remote.before = lambda: None
            with capture_logs() as logs:
                await gateway.charge(_CHARGE)
    sent = [headers["authorization"] for headers in remote.headers]
    assert sent == ["Bearer first", "Bearer first", "Bearer second"]
    assert [line["event"] for line in logs] == ["credential reloaded"]
    assert "second" not in str(logs)


@pytest.mark.usefixtures("looking")
async def test_unusable_files_leave_the_previous_credentials_in_use(tmp_path: Path) -> None:
    directory = _files(tmp_path / "secret", token="first")
    async with GatewayClient(_HTTP, str(directory)) as client:
        with capture_logs() as logs:
            for text in ("", "two words hidden"):
                _files(directory, token=text)
                for _ in range(3):
                    assert client.current().headers["authorization"] == "Bearer first"
            (directory / "token").unlink()
            assert client.current().headers["authorization"] == "Bearer first"
            assert [line["log_level"] for line in logs] == ["warning"] * 3
            assert "hidden" not in str(logs)
            _files(directory, token="third")
            assert client.current().headers["authorization"] == "Bearer third"


def test_the_process_watches_the_files(tmp_path: Path) -> None:
    directory = str(_files(tmp_path, token="first"))
    no_pool = cast("Pool", None)
    for make in (make_payment_gateway, make_carrier):
        watched: list[WatchedFiles[GatewayCredentials] | None] = []
        make(_HTTP, no_pool, (), directory, watched.append)
        make(_HTTP, no_pool, (), "", watched.append)
        make("", no_pool, (), "", watched.append)
        [files, nothing] = watched
        assert files
        assert files.credential == "gateway"
        assert nothing is None


async def test_the_files_are_looked_at_once_a_second(tmp_path: Path) -> None:
    directory = _files(tmp_path, token="first")
    async with GatewayClient(_HTTP, str(directory)) as client:
        _files(directory, token="second")
        before = client.current()
        assert before.headers["authorization"] == "Bearer first"
        await asyncio.sleep(1.05)
        assert client.current().headers["authorization"] == "Bearer second"


@pytest.mark.parametrize("status", [409, 500])
async def test_no_message_repeats_a_credential(tmp_path: Path, status: int) -> None:
    secrets: dict[str, Any] = {"password": "open-Sesame/1", "headers": "X-Key: q w-9.e_r"}
    directory = _files(tmp_path, username="shop", **secrets)
    remote = _Remote()
    encoded = b64encode(b"shop:open-Sesame/1").decode()
    body = f'bad {encoded}, "open-sesame\\/1" or open%2DSesame%2F1; q w-9.e_r: bad'.encode()
    remote.answer = status, body
    with remote.serve() as url:
        gateway = HTTPPaymentGateway(url, str(directory))
        async with gateway:
            with pytest.raises((GatewayRefusedError, GatewayUnavailableError)) as error:
                await gateway.charge(_CHARGE)
    text = str(error.value)
    if status == 409:
        expected = f'POST /charges: 409 bad {MASK}, "{MASK}" or {MASK}; {MASK}: bad'
        assert text == expected
    assert "sesame" not in text.lower()
    assert encoded not in text


async def test_a_password_of_the_url_is_not_repeated_either() -> None:
    remote = _Remote()
    remote.answer = 409, b"no user shop with open:sesame"
    with remote.serve() as url:
        gateway = HTTPPaymentGateway(url.replace("//", "//shop:open%3Asesame@"))
        async with gateway:
            with pytest.raises(GatewayRefusedError, match=r"no user shop with \*\*\*$"):
                await gateway.charge(_CHARGE)
    [headers] = remote.headers
    assert headers["authorization"] == "Basic " + b64encode(b"shop:open:sesame").decode()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    directory = tmp_path_factory.mktemp("certificates")
    authority = make_pair(directory, "authority")
    names = ("server", "client", "client-2")
    return {
        "authority": authority,
        "stranger": make_pair(directory, "stranger"),
        **{name: make_pair(directory, name, authority) for name in names},
    }


def _server_tls(pairs: dict[str, Pair], *, client: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pairs["server"])
    if client:
        context.load_verify_locations(pairs["authority"].certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@needs_openssl
async def test_a_private_authority(tmp_path: Path, pairs: dict[str, Pair]) -> None:
    remote = _Remote()
    own = _files(tmp_path / "own", ca_crt=pairs["authority"].certificate.read_text())
    other = _files(tmp_path / "other", ca_crt=pairs["stranger"].certificate.read_text())
    with remote.serve(_server_tls(pairs, client=False)) as url:
        gateway = HTTPPaymentGateway(url, str(own))
        async with gateway:
            await gateway.charge(_CHARGE)
        for credentials in ("", str(other)):
            refusing = HTTPPaymentGateway(url, credentials)
            async with refusing:
                with pytest.raises(GatewayUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
                    await refusing.charge(_CHARGE)
    assert len(remote.headers) == 1
    with pytest.raises(CredentialsError, match="the URL is not https"):
        HTTPCarrier(_HTTP, str(own))


@needs_openssl
@pytest.mark.usefixtures("looking")
async def test_a_client_certificate_that_is_rotated(tmp_path: Path, pairs: dict[str, Pair]) -> None:
    remote = _Remote()
    authority = pairs["authority"].certificate.read_text()
    directory = _files(tmp_path / "secret", ca_crt=authority)
    with remote.serve(_server_tls(pairs, client=True)) as url:
        bare = HTTPPaymentGateway(url, str(directory))
        async with bare:
            with pytest.raises(GatewayUnavailableError):
                await bare.charge(_CHARGE)
        first = pairs["client"]
        _files(directory, tls_crt=first.certificate.read_text(), tls_key=first.key.read_text())
        gateway = HTTPPaymentGateway(url, str(directory))
        async with gateway:
            await gateway.charge(_CHARGE)
            second = pairs["client-2"]
            with capture_logs() as logs:
                # A certificate and the key of another one, for the moment.
                _files(directory, tls_crt=second.certificate.read_text())
                await gateway.charge(_CHARGE)
                _files(directory, tls_key=second.key.read_text())
                await gateway.charge(_CHARGE)
    assert [line["log_level"] for line in logs] == ["warning", "info"]
    assert len(remote.headers) == 3
