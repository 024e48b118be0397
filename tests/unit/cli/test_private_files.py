"""What is kept on this machine is its user's alone."""

import os
import stat
from pathlib import Path
from typing import Final

import pytest

from orderfleet_cli.errors import CommandError
from orderfleet_cli.local.pid_files import lock_directory, stop_left_over, write_pid_file
from orderfleet_cli.private_files import make_directory, open_private, write_private

_NOBODY: Final = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _open_to_others(data: Path) -> list[Path]:
    return [path for path in (data, *data.rglob("*")) if path.lstat().st_mode & 0o077]


def test_directories_and_files_are_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    data = tmp_path / "one" / "two"
    for umask in (0o000, 0o022, 0o777):
        before = os.umask(umask)
        try:
            make_directory(data)
            write_private(data / "text", "one")
            open_private(data / "log", append=True).close()
        finally:
            os.umask(before)
        assert _open_to_others(tmp_path / "one") == []
        assert _mode(data) == 0o700
        assert _mode(data / "text") == _mode(data / "log") == 0o600


def test_what_an_older_release_left_open_is_closed(tmp_path: Path) -> None:
    data = tmp_path / ".data"
    data.mkdir(mode=0o755)
    (data / "temporal.db").touch(mode=0o644)
    (data / "logs").mkdir(mode=0o755)
    (data / "lock").touch(mode=0o666)
    with lock_directory(data):
        assert _open_to_others(data) == []


def test_it_does_not_write_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "log").symlink_to(tmp_path / "mine")
    with pytest.raises(CommandError, match="symbolic links"):
        open_private(tmp_path / "log")
    write_private(tmp_path / "log", "new")
    assert (tmp_path / "mine").read_text() == "precious"


def test_an_error_of_the_file_system_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="file/data: Not a directory"):
        make_directory(tmp_path / "file" / "data")
    with pytest.raises(CommandError, match=f"{tmp_path}: Is a directory"):
        open_private(tmp_path)


@needs_root
def test_another_users_directory_is_not_used(tmp_path: Path) -> None:
    data = tmp_path / ".data"
    data.mkdir()
    write_pid_file(data, "api", os.getpid(), 15)
    os.chown(data, _NOBODY, _NOBODY)
    for use in (lambda: lock_directory(data).__enter__(), lambda: stop_left_over(data)):
        with pytest.raises(CommandError, match=r"\.data belongs to another user"):
            use()


@needs_root
def test_another_users_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    data = tmp_path / ".data"
    data.symlink_to(tmp_path / "mine")
    with lock_directory(data):
        pass
    os.chown(data, _NOBODY, _NOBODY, follow_symlinks=False)
    with pytest.raises(CommandError, match="belongs to another user"), lock_directory(data):
        pass
