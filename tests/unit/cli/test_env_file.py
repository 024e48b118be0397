"""What a directory may set: its .env, and the addresses of a fleet that runs in it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from docs.settings_table import SECTIONS
from orderfleet_cli.env_file import OWN_NAMES, OWN_PREFIXES, load_environment
from orderfleet_cli.errors import UsageError
from orderfleet_cli.fleet_addresses import hold_addresses, write_addresses
from tests.support.cli import Cli

_THERE: Final = "http://there.example:8000"


def _loaded(
    monkeypatch: pytest.MonkeyPatch, directory: Path, file: str, exported: Mapping[str, str]
) -> dict[str, str]:
    environment = dict(exported)
    monkeypatch.setattr("orderfleet_cli.env_file.os.environ", environment)
    monkeypatch.chdir(directory)
    (directory / ".env").write_text(file)
    load_environment()
    return environment


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "HOME", "TMPDIR"),
        *("HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSLKEYLOGFILE", "KUBECONFIG"),
        *("PGHOST", "PGPASSWORD", "PGSERVICEFILE", "pgoptions", "_ORDERFLEET_COMPLETE"),
    ],
)
def test_only_the_products_own_names_are_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    file = f"{name}=/evil\nLOG_LEVEL=debug\n"
    assert _loaded(monkeypatch, tmp_path, file, {}) == {"LOG_LEVEL": "debug"}


def test_every_documented_setting_may_be_in_it() -> None:
    names = {name for _, settings, _ in SECTIONS for row in settings.rows() for name in row.names}
    assert {name for name in names if not name.startswith(OWN_PREFIXES)} == OWN_NAMES


@pytest.mark.parametrize(
    ("address", "credentials"),
    [
        ("ORDERFLEET_URL", ["ORDERFLEET_API_KEY"]),
        (
            "TEMPORAL_ADDRESS",
            [
                "TEMPORAL_API_KEY",
                "TEMPORAL_TLS_CLIENT_KEY_DATA",
                "TEMPORAL_GRPC_META_AUTHORIZATION",
            ],
        ),
        ("TEMPORAL_TARGET", ["TEMPORAL_API_KEY", "TEMPORAL_TLS_CLIENT_CERT_PATH"]),
        ("DATABASE_URL", ["PGPASSWORD", "PGPASSFILE", "PGSSLKEY", "DATABASE_PASSWORD_FILE"]),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ["OTEL_EXPORTER_OTLP_HEADERS"]),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ["OTEL_EXPORTER_OTLP_TRACES_HEADERS"]),
        ("ORDERFLEET_PAYMENT_GATEWAY_URL", ["ORDERFLEET_PAYMENT_GATEWAY_CREDENTIALS"]),
        ("ORDERFLEET_CARRIER_URL", ["ORDERFLEET_CARRIER_CREDENTIALS"]),
    ],
)
def test_no_credential_of_the_environment_goes_to_an_address_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    address: str,
    credentials: list[str],
) -> None:
    secret = dict.fromkeys(credentials, "secret")
    kept = {"ORDERFLEET_API_KEYS": "shop:1", "TEMPORAL_NAMESPACE": "shop", "PGSSLMODE": "require"}
    loaded = _loaded(monkeypatch, tmp_path, f"{address}=there", secret | kept)
    assert loaded == {address: "there"} | kept
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == len(credentials)
    assert all("is not sent to an address from .env" in line for line in warnings)
    # A file that brings its own is understood, without a word.
    file = f"{address}=there\n" + "".join(f"{name}=own\n" for name in credentials)
    own = dict.fromkeys((name for name in credentials if not name.startswith("PG")), "own")
    assert _loaded(monkeypatch, tmp_path, file, secret | kept) == {address: "there"} | own | kept


def test_the_file_does_not_change_how_the_environments_server_is_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exported = {
        "TEMPORAL_ADDRESS": "mine:7233",
        "TEMPORAL_API_KEY": "secret",
        "ORDERFLEET_URL": "u",
    }
    file = (
        "TEMPORAL_TARGET=there:7233\nTEMPORAL_TLS_DISABLED=true\nTEMPORAL_TLS_SERVER_NAME=evil\n"
        "ORDERFLEET_URL=there\nORDERFLEET_API_KEY=k1\n"
    )
    assert _loaded(monkeypatch, tmp_path, file, exported) == exported | {"ORDERFLEET_API_KEY": "k1"}


@pytest.mark.parametrize("directory", ["/run/secrets", "../secrets", "link"])
def test_the_file_names_no_credentials_of_another_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, directory: str
) -> None:
    (tmp_path / "link").symlink_to("/run")
    for address, name in (
        ("ORDERFLEET_CARRIER_URL", "ORDERFLEET_CARRIER_CREDENTIALS"),
        ("DATABASE_URL", "DATABASE_PASSWORD_FILE"),
        ("TEMPORAL_ADDRESS", "TEMPORAL_API_KEY_FILE"),
    ):
        file = f"{address}={_THERE}\n{name}={directory}"
        with pytest.raises(UsageError, match=name):
            _loaded(monkeypatch, tmp_path, file, {})
        file = file.replace(directory, "secrets")
        assert _loaded(monkeypatch, tmp_path, file, {})[name] == "secrets"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    exported = {"ORDERFLEET_URL": "", "ORDERFLEET_API_KEY": "secret"}
    loaded = _loaded(monkeypatch, tmp_path, f"ORDERFLEET_URL={_THERE}", exported)
    assert loaded == {"ORDERFLEET_URL": _THERE}


def test_a_value_is_not_interpolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = f"ORDERFLEET_URL={_THERE}/${{ORDERFLEET_API_KEY}}/${{HOME}}"
    loaded = _loaded(monkeypatch, tmp_path, file, {"HOME": "/root", "ORDERFLEET_API_KEY": "secret"})
    assert loaded == {
        "HOME": "/root",
        "ORDERFLEET_URL": f"{_THERE}/${{ORDERFLEET_API_KEY}}/${{HOME}}",
    }


def test_addresses_that_no_running_fleet_has_written_get_no_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = tmp_path / ".data"
    data.mkdir(mode=0o700)
    exported = {"ORDERFLEET_API_KEY": "secret", "PGPASSWORD": "secret"}
    addresses = {"ORDERFLEET_URL": _THERE, "DATABASE_URL": "postgresql://there/x"}
    write_addresses(data, {**addresses, "PATH": "/evil"})
    with hold_addresses(data):
        assert _loaded(monkeypatch, tmp_path, "", exported) == exported | addresses
        # Whoever can write there could have written it.
        data.chmod(0o770)
        assert _loaded(monkeypatch, tmp_path, "", exported) == addresses
        data.chmod(0o700)
    assert _loaded(monkeypatch, tmp_path, "", exported) == addresses


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"ORDERFLEET_URL=\xff\xfe", "not UTF-8"), (b"ORDERFLEET_URL=a\0b", "null byte")],
)
def test_a_file_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in tuple(os.environ):
        if name.startswith(OWN_PREFIXES):
            monkeypatch.delenv(name)
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_environment()


async def test_it_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff")
    outcome = await Cli(tmp_path)("list")
    assert (outcome.status, outcome.error) == (2, ".env: not UTF-8")
