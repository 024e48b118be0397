"""What make does to a .venv: it is of one folder, and another folder's is never cleared."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_STAMPS: Final = (".uv-stamp", ".run-stamp", ".dev-stamp")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with what make reads, whose .venv has all that a test needs."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("Makefile", "services", "tests"):
        (folder / name).symlink_to(_ROOT / name)
    venv = folder / ".venv"
    venv.mkdir()
    for name in _STAMPS:
        (venv / name).write_text(f"{venv}\n")
    return folder


def _would(folder: Path, target: str = "test-replay") -> str:
    """Return the commands of a target, none of which is run."""
    make = ("make", "--dry-run", "--no-print-directory", "-C", str(folder), target)
    return subprocess.run(make, capture_output=True, text=True, check=True).stdout


def test_a_whole_venv_is_taken_as_it_is(folder: Path) -> None:
    assert _would(folder).split()[:2] == [".venv/bin/pytest", "tests/replay"]


def test_a_venv_by_a_link_is_taken_as_it_is(folder: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in folder.iterdir():
        (linked / path.name).symlink_to(path)
    assert _would(linked).split()[:2] == [".venv/bin/pytest", "tests/replay"]
    assert "venv" not in _would(linked, "help").replace(".venv/bin", "")


@pytest.mark.parametrize("gone", [True, False], ids=["moved", "copied"])
def test_the_venv_of_another_folder_is_made_anew(folder: Path, tmp_path: Path, gone: bool) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, symlinks=True)
    if gone:
        shutil.rmtree(folder)
    commands = _would(copy)
    assert "-m venv --clear .venv" in commands
    assert "tests/requirements.txt" in commands
    # To be asked is not to be told.
    assert {path.name for path in (copy / ".venv").iterdir()} == set(_STAMPS)


def test_new_requirements_clear_nothing(folder: Path) -> None:
    for name in _STAMPS:
        os.utime(folder / ".venv" / name, (0, 0))
    commands = _would(folder)
    assert "tests/requirements.txt" in commands
    assert "--clear" not in commands


def test_a_venv_that_was_never_finished_is_made_anew(folder: Path) -> None:
    (folder / ".venv" / ".uv-stamp").unlink()
    assert "-m venv --clear .venv" in _would(folder)
