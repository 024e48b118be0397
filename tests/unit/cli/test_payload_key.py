"""The command `payload-key`, on files."""

import stat
from pathlib import Path

import pytest

from orderfleet.temporal.payload_keys import parse_keys, read_keys
from orderfleet_cli.errors import CommandError
from orderfleet_cli.payload_key import rotate, write_new
from tests.support.cli import Cli


def test_a_rotated_file_has_a_new_first_key_and_all_others(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    write_new(str(path), 0, as_json=False)
    [first] = read_keys(path).keys
    path.write_text(f"# kept\n{path.read_text()}")
    path.chmod(0o644)
    rotate(str(path), 120, as_json=False)
    ring = read_keys(path)
    assert len(ring.keys) == 2
    assert ring.keys[1] == first == ring.current()
    assert ring.keys[0].since > 0
    assert "# kept" in path.read_text()
    rotate(str(path), 0, as_json=False)
    current = read_keys(path).current()
    assert current
    assert current not in ring.keys
    # The temporary file is gone, and only the user reads the other.
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_file_is_overwritten_or_repaired(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with pytest.raises(CommandError, match=f"{path}: No such file or directory"):
        rotate(str(path), 0, as_json=False)
    path.write_text("nonsense")
    with pytest.raises(CommandError, match=f"{path} exists"):
        write_new(str(path), 0, as_json=False)
    with pytest.raises(CommandError, match=f"{path}: line 1: expected ID:BASE64"):
        rotate(str(path), 0, as_json=False)
    assert path.read_text() == "nonsense"


async def test_the_command_shows_a_key_only_where_it_writes_none(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    printed = await cli("payload-key", "new", "-")
    assert parse_keys(printed.out).current()
    made = await cli("payload-key", "new", "keys", "--after", "60", "--json")
    [key] = read_keys(tmp_path / "keys").keys
    assert made.json == {"id": key.id, "encrypts_from": str(key).split()[1]}
    rotated = await cli("payload-key", "rotate", "keys")
    assert "the new key" in rotated.out
    assert "1 older key decrypts" in rotated.out
    assert str(key).split(":")[1][:20] not in made.out + rotated.out
    refused = await cli("payload-key", "new", "keys")
    assert refused.error == "keys exists: `orderfleet payload-key rotate` adds a key to it"
