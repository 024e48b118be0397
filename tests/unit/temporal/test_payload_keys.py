"""The file of payload keys: what it may hold, which key encrypts, and how a process follows it."""

import time
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from orderfleet.environment import SettingsError
from orderfleet.settings import CommonSettings
from orderfleet.temporal.payload_keys import PayloadKey, PayloadKeys, make_key, parse_keys

ONE = b64encode(bytes(32)).decode()
TWO = b64encode(b"2" * 32).decode()


def test_a_line_is_a_key_and_the_rest_are_comments() -> None:
    ring = parse_keys(f"# keys\n\n  # more\nk2:{TWO} 2026-12-01T09:00:00Z\n k-1.a_:{ONE}\r\n")
    assert [key.id for key in ring.keys] == ["k2", "k-1.a_"]
    assert str(ring.keys[0]) == f"k2:{TWO} 2026-12-01T09:00:00Z"
    assert str(ring.keys[1]) == f"k-1.a_:{ONE}"
    assert ring.by_id["k2"].secret == b"2" * 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no key"),
        ("# none\n", "there is no key"),
        (f"{ONE}\n", "line 1: expected ID:BASE64"),
        (f"k:{ONE}\nk:{TWO}\n", "line 2: the id or the key is repeated"),
        (f"k:{ONE}\nl:{ONE}\n", "line 2: the id or the key is repeated"),
        (f"k l:{ONE}\n", "line 1: expected ID:BASE64"),
        (f"{'k' * 65}:{ONE}\n", "line 1: expected ID:BASE64"),
        (f"k:{ONE[:-4]}\n", "line 1: the key has 30 bytes, not 32"),
        ("k:\n", "line 1: the key has 0 bytes, not 32"),
        (f"k:{ONE[:-1]}!\n", "line 1: the key is not base64"),
        (f"k:{ONE} tomorrow\n", "line 1: the time is not like 2026-12-01T09:00:00Z"),
        (f"k:{ONE} 2026-12-01T09:00:00Z more\n", "line 1: expected ID:BASE64"),
    ],
)
def test_anything_else_is_refused_without_a_word_of_a_key(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message) as raised:
        parse_keys(text)
    assert ONE[:8] not in str(raised.value)


def test_a_key_is_not_in_its_representation() -> None:
    assert "secret" not in repr(make_key())


def test_the_first_key_whose_time_has_come_encrypts() -> None:
    later, now = make_key(time.time() + 60), make_key(time.time() - 60)
    assert parse_keys(f"{later}\n{now}").current() == PayloadKey(
        now.id, now.secret, float(int(now.since))
    )
    assert parse_keys(str(later)).current() is None


def rewrite(path: Path, *keys: PayloadKey) -> None:
    """Replace a file as `payload-key rotate` and Kubernetes do."""
    new = path.with_suffix(".new")
    new.write_text("".join(f"{key}\n" for key in keys))
    new.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_process_follows_its_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = make_key(), make_key()
    rewrite(path, old)
    keys = PayloadKeys(path)
    assert keys.on
    assert keys.find(new.id) is None
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 1)
    rewrite(path, new, old)
    # Not yet time for a look, but for this id it looks.
    assert keys.ring().current() == old
    assert keys.find(new.id) == new
    assert keys.ring().current() == new
    monkeypatch.setattr(time, "monotonic", lambda: now + 4)
    rewrite(path, new)
    assert keys.ring().keys == (new,)


def test_a_file_that_becomes_bad_leaves_the_ring(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key()
    rewrite(path, key)
    keys = PayloadKeys(path)
    now = time.monotonic()
    path.write_text("nonsense")
    monkeypatch.setattr(time, "monotonic", lambda: now + 3)
    assert keys.ring().current() == key
    assert keys.file
    assert keys.file.failure == "line 1: expected ID:BASE64, and a time or nothing after it"


def test_without_a_file_there_is_no_key() -> None:
    keys = PayloadKeys.from_settings(CommonSettings())
    assert not keys.on
    assert keys.ring().current() is None
    assert keys.find("k") is None


def test_a_bad_file_at_start_is_a_wrong_setting(path: Path) -> None:
    settings = CommonSettings(payload_keys_file=str(path))
    with pytest.raises(SettingsError, match=f"PAYLOAD_KEYS_FILE: {path}: No such file"):
        PayloadKeys.from_settings(settings)
    path.write_bytes(b"k:\xff")
    with pytest.raises(SettingsError, match="not ASCII text"):
        PayloadKeys.from_settings(settings)
    path.write_bytes(b"#" * 70_000)
    with pytest.raises(SettingsError, match="more than 65536 bytes"):
        PayloadKeys.from_settings(settings)


def test_to_refuse_plain_payloads_needs_keys() -> None:
    with pytest.raises(SettingsError, match="PLAIN_PAYLOADS=refuse needs ORDERFLEET_PAYLOAD_KEYS"):
        CommonSettings.from_env({"ORDERFLEET_PLAIN_PAYLOADS": "refuse"})


def test_a_digest_is_the_same_in_each_process_and_tells_nothing_without_the_key(
    path: Path, tmp_path: Path
) -> None:
    old, new = make_key(), make_key()
    rewrite(path, old)
    digest = PayloadKeys(path).digest(b"1 Main St")
    assert (
        digest == PayloadKeys(path).digest(b"1 Main St") != PayloadKeys(path).digest(b"2 Main St")
    )
    plain = PayloadKeys().digest(b"1 Main St")
    assert plain == sha256(b"1 Main St").hexdigest()
    rotated, later = tmp_path / "rotated", tmp_path / "later"
    rewrite(rotated, new, old)
    rewrite(later, make_key(time.time() + 60))
    assert len({digest, plain, PayloadKeys(rotated).digest(b"1 Main St")}) == 3
    # Nothing is encrypted yet.
    assert PayloadKeys(later).digest(b"1 Main St") == plain
