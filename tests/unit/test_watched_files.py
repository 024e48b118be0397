"""Files that change while a process runs: a new value at the next look, the old one meanwhile."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from orderfleet.watched_files import LOOK_SECONDS, WatchedFiles, read_text

Later = Callable[[float], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Let seconds pass."""
    began = time.monotonic()
    passed = 0.0

    def let_pass(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(time, "monotonic", lambda: began + passed)
    return let_pass


def _number(path: Path) -> WatchedFiles[int]:
    def read() -> int:
        try:
            return int(read_text(path))
        except ValueError:
            raise ValueError("expected a number") from None

    return WatchedFiles("number", [path], read)


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_a_change_is_seen_at_the_next_look(tmp_path: Path, later: Later) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    number = _number(path)
    _replace(path, "2")
    later(LOOK_SECONDS - 0.1)
    assert number.get() == 1
    assert number.get(1.0) == 2
    assert number.previous == 1
    _replace(path, "3")
    later(LOOK_SECONDS)
    assert number.get() == 3


def test_kubernetes_swaps_a_link_to_the_directory(tmp_path: Path, later: Later) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "number").write_text(version)
        # As from one `kubectl apply`: only the inode differs.
        os.utime(tmp_path / version / "number", (1, 1))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "number").symlink_to("..data/number")
    number = _number(tmp_path / "number")
    (tmp_path / "..data_tmp").symlink_to("2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    later(LOOK_SECONDS)
    assert number.get() == 2


def test_a_bad_file_leaves_the_value_with_one_warning(tmp_path: Path, later: Later) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    number = _number(path)
    began = number.reloaded
    with capture_logs() as logs:
        for text in ("secret", None):
            if text is None:
                path.unlink()
            else:
                _replace(path, text)
            for _ in range(3):
                later(LOOK_SECONDS)
                assert number.get() == 1
    assert [line["error"] for line in logs] == [
        "expected a number",
        f"{path}: No such file or directory",
    ]
    assert {line["log_level"] for line in logs} == {"warning"}
    assert number.failures == 6
    assert number.reloaded == began
    path.write_text("1")
    later(LOOK_SECONDS)
    with capture_logs() as logs:
        assert number.get() == 1
    assert [line["event"] for line in logs] == ["credential reloaded"]
    assert not number.failure
    assert number.failures == 6
    assert number.reloaded > began


def test_parts_of_two_versions_are_no_value(tmp_path: Path, later: Later) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_text("a")

    def read() -> str:
        text = one.read_text()
        if text == "b":
            # Somebody writes the second file while the first one is read.
            two.write_text("bb")
        return text + two.read_text()

    both = WatchedFiles("both", [one, two], read)
    one.write_text("b")
    two.write_text("c")
    later(LOOK_SECONDS)
    assert both.get() == "aa"
    one.write_text("bbb")
    assert both.get() == "bbbbb"


def test_at_the_start_a_bad_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "number"
    with pytest.raises(FileNotFoundError):
        _number(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="not ASCII text"):
        read_text(path)
    path.write_bytes(b"1" * 70_000)
    with pytest.raises(ValueError, match="more than 65536 bytes"):
        read_text(path)
