"""API keys: every valid key is accepted under its name, nothing else is."""

import subprocess
import time
from hashlib import sha256
from itertools import count
from pathlib import Path
from sys import executable

import pytest

from orderfleet.domain.roles import DEFAULT, Role
from orderfleet.environment import SettingsError
from orderfleet_api.auth import is_loopback, name_of, parse_keys
from orderfleet_api.settings import ApiSettings

_OLD, _NEW = "the old one", "the new one"


def _line(name: str, key: str) -> str:
    return f"{name}:{sha256(key.encode()).hexdigest()}"


_BOTH = f"{_line('shop', _OLD)}, {_line('shop-2', _NEW)},"


def test_every_key_is_accepted_under_its_name() -> None:
    keys = parse_keys(_BOTH)
    assert name_of(keys, f"Bearer {_OLD}".encode()) == "shop"
    assert name_of(keys, f"bearer {_NEW}".encode()) == "shop-2"
    assert name_of(keys, f"BEARER   {_NEW}  ".encode()) == "shop-2"


def test_a_key_is_bytes_in_whatever_encoding() -> None:
    for key in ("schlüssel", "ключ"):
        assert name_of(parse_keys(_line("shop", key)), f"Bearer {key}".encode()) == "shop"
    assert name_of(parse_keys(_line("shop", "ü")), "Bearer ü".encode("latin-1")) is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer Bearer {_OLD}",
        f"Bearer\t{_OLD}",
        f"Bearer {_OLD}\t",
        f"Bearer {_OLD}, Bearer {_OLD}",
        f"Bearer\u00a0{_OLD}",
        f"Bearer{_OLD}",
        f"Basic {_OLD}",
        _OLD,
        _line("shop", _OLD),
        "Bearer " + "x" * 30_000,
        "Bearer \x00\xff",
    ],
)
def test_nothing_else_is_accepted(header: str) -> None:
    assert name_of(parse_keys(_BOTH), header.encode()) is None


def test_a_key_has_one_name_and_is_something() -> None:
    for text in (f"{_line('a', _OLD)},{_line('b', _OLD)}", _line("a", "")):
        with pytest.raises(SettingsError, match="ORDERFLEET_API_KEYS"):
            ApiSettings.from_env({"ORDERFLEET_API_KEYS": text})


@pytest.mark.parametrize(
    "text", ["shop", "shop:abc", f"sh op:{'0' * 64}", f":{'0' * 64}", f"a:{'0' * 64},a:{'1' * 64}"]
)
def test_a_malformed_key_is_refused_at_start(text: str) -> None:
    with pytest.raises(SettingsError, match="ORDERFLEET_API_KEYS"):
        ApiSettings.from_env({"ORDERFLEET_API_KEYS": text})


def test_a_key_has_its_roles_and_without_roles_all_but_operate() -> None:
    first, second, third = _line("a", "1"), _line("b", "2"), _line("c", "3")
    keys = parse_keys(f"{first}, {second}:read, {third}:operate+read+operate")
    assert keys["a"].roles == DEFAULT == {Role.PLACE, Role.CHANGE, Role.READ, Role.REVIEW}
    assert keys["b"].roles == {Role.READ}
    assert keys["c"].roles == {Role.READ, Role.OPERATE}


@pytest.mark.parametrize(
    "roles", ["", "reed", "READ", "read+", "read,place", "read place", "read:"]
)
def test_an_unknown_role_is_refused_at_start_and_not_shown(roles: str) -> None:
    with pytest.raises(SettingsError, match="ORDERFLEET_API_KEYS") as refused:
        ApiSettings.from_env({"ORDERFLEET_API_KEYS": f"{_line('shop', _OLD)}:{roles}"})
    assert "reed" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_no_key_is_needed(host: str) -> None:
    assert is_loopback(host)
    assert ApiSettings.from_env({"ORDERFLEET_API_HOST": host}).keys == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])  # noqa: S104
def test_elsewhere_a_key_is_needed_unless_it_is_switched_off(host: str) -> None:
    with pytest.raises(SettingsError, match="ORDERFLEET_API_KEYS: needed"):
        ApiSettings.from_env({"ORDERFLEET_API_HOST": host})
    opened = {"ORDERFLEET_API_HOST": host, "ORDERFLEET_API_OPEN": "true"}
    assert ApiSettings.from_env(opened).keys == {}
    keyed = {"ORDERFLEET_API_HOST": host, "ORDERFLEET_API_KEYS": _BOTH}
    assert set(ApiSettings.from_env(keyed).keys) == {"shop", "shop-2"}


def test_keys_of_a_file_follow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each look is due.
    monkeypatch.setattr(time, "monotonic", count(step=10).__next__)
    path = tmp_path / "keys"
    path.write_text(f"# two\n{_line('shop', _OLD)}:read  # reads\n\n{_line('shop-2', _NEW)}\n")
    settings = ApiSettings.from_env({"ORDERFLEET_API_KEYS_FILE": str(path)})
    keys = settings.load_keys()
    assert {name: key.roles for name, key in keys.current().items()} == {
        "shop": {Role.READ},
        "shop-2": DEFAULT,
    }
    path.write_text(_line("shop-2", _NEW))
    assert set(keys.current()) == {"shop-2"}
    # Nobody is let in by a file that is emptied, and nobody is shut out.
    for text in ("", "# none\n", "shop", f"{_line('shop', _OLD)}:plaice"):
        path.write_text(text)
        assert set(keys.current()) == {"shop-2"}
    assert keys.file
    assert "plaice" not in keys.file.failure


@pytest.mark.parametrize("text", ["", "# none", "shop", None])
def test_an_unusable_file_of_keys_is_refused_at_start(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "keys"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match="ORDERFLEET_API_KEYS_FILE: "):
        ApiSettings.from_env({"ORDERFLEET_API_KEYS_FILE": str(path)})


def test_keys_come_from_one_place(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(_line("shop", _OLD))
    file = {"ORDERFLEET_API_KEYS_FILE": str(path)}
    with pytest.raises(SettingsError, match="KEYS and ORDERFLEET_API_KEYS_FILE are both set"):
        ApiSettings.from_env(file | {"ORDERFLEET_API_KEYS": _BOTH})
    with pytest.raises(SettingsError, match="OPEN=true and ORDERFLEET_API_KEYS_FILE are both set"):
        ApiSettings.from_env(file | {"ORDERFLEET_API_OPEN": "true"})
    # The key of a rate may come later, or be gone when the process starts again.
    rated = ApiSettings.from_env(file | {"ORDERFLEET_TENANT_RATES": "batch:2"})
    assert set(rated.rates) == {"batch"}


def test_the_digests_are_not_printed() -> None:
    shown = ApiSettings.from_env({"ORDERFLEET_API_KEYS": _BOTH}).shown()
    assert shown["ORDERFLEET_API_KEYS"] == "***"


@pytest.mark.parametrize(
    "environment",
    [
        {"ORDERFLEET_API_HOST": "0.0.0.0"},  # noqa: S104
        {"ORDERFLEET_API_KEYS": f"{_line('shop', _OLD)}:plaice"},
    ],
)
def test_the_api_does_not_start_open_or_with_an_unknown_role(environment: dict[str, str]) -> None:
    program = Path(executable).with_name("orderfleet-api")
    process = subprocess.run(
        [program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1
    assert "ORDERFLEET_API_KEYS" in process.stderr
