"""`make release`: what it refuses, and every place that has the version."""

import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

import pytest

from release.tools import ReleaseError
from release.version import CHANGELOG, PLACES, current_version, cut, notes_of

ROOT: Final = Path(__file__).parents[3]
_DAY: Final = date(2027, 1, 31)


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ("git", *arguments), check=True, cwd=root, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a repository with the files of this one that have a version."""
    for pattern in (*PLACES, CHANGELOG):
        for path in ROOT.glob(pattern):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    _git(tmp_path, "init", "--quiet")
    for name, value in (("name", "A"), ("email", "a@example.com")):
        _git(tmp_path, "config", f"user.{name}", value)
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "All of it")
    return tmp_path


def test_release_is_a_commit_and_a_tag(tree: Path) -> None:
    old = current_version(tree)
    notes = notes_of((tree / CHANGELOG).read_text())
    assert cut(tree, "7.8.9", _DAY) == "v7.8.9"
    assert not _git(tree, "status", "--porcelain")
    assert _git(tree, "log", "--format=%s", "-1", "v7.8.9") == "Release 7.8.9"
    assert _git(tree, "tag", "--list", "--format=%(contents)", "v7.8.9").startswith(
        f"Orderfleet 7.8.9\n\n{notes[:60]}"
    )
    assert current_version(tree) == "7.8.9"
    changed = _git(tree, "diff", "--name-only", "HEAD~1").splitlines()
    assert sum(name.startswith("services/") for name in changed) == 5
    for pattern in PLACES:
        for path in tree.glob(pattern):
            # Those of the chart below the chart are its own.
            left = re.findall(rf"^.*\b{re.escape(old)}\b.*$", path.read_text(), re.MULTILINE)
            assert left in ([], ["    version: 0.1.0"] * 2), path
    changelog = (tree / CHANGELOG).read_text()
    assert "## [Unreleased]\n\n## [7.8.9] - 2027-01-31\n" in changelog
    assert notes_of(changelog, "7.8.9") == notes
    with pytest.raises(ReleaseError, match="no entry"):
        cut(tree, "7.9.0")


def test_every_place_with_a_version_is_known(tree: Path) -> None:
    """A new file that has it must be named in `PLACES`, or it keeps the old one."""
    version = re.escape(current_version(tree))
    pattern = rf"orderfleet-[a-z-]+:{version}|^(appV|v)ersion(:| =) \"?{version}"
    found = _git(ROOT, "grep", "-lE", pattern)
    own = {str(path.relative_to(tree)) for pattern in PLACES for path in tree.glob(pattern)}
    subcharts = {f"charts/orderfleet/charts/{name}/Chart.yaml" for name in ("postgres", "temporal")}
    assert set(found.splitlines()) - own == subcharts


def _dirty(tree: Path) -> None:
    (tree / "new").touch()


def _tagged(tree: Path) -> None:
    _git(tree, "tag", "v7.8.9")


def _no_entries(tree: Path) -> None:
    (tree / CHANGELOG).write_text("# Changelog\n\n## [Unreleased]\n\n## [0.0.1]\n\n- Old.\n")
    _git(tree, "commit", "--quiet", "--all", "--message", "Nothing new")


def _disagreeing(tree: Path) -> None:
    path = tree / "services/cli/pyproject.toml"
    path.write_text(re.sub(r'(?m)^version = ".*"$', 'version = "3.0.0"', path.read_text()))
    _git(tree, "commit", "--quiet", "--all", "--message", "Another")


@pytest.mark.parametrize(
    ("version", "prepare", "words"),
    [
        ("7.8.9", _dirty, "no commit has: ?? new"),
        ("7.8.9", _tagged, "v7.8.9 exists"),
        ("7.8.9", _no_entries, "no entry"),
        ("7.8.9", _disagreeing, "disagree"),
        ("0.0.1", None, "older than"),
        ("v7.8.9", None, "x.y.z"),
        ("7.8", None, "x.y.z"),
        ("7.08.9", None, "x.y.z"),
        ("7.8.9\n", None, "x.y.z"),
        ("", None, "x.y.z"),
    ],
)
def test_release_refuses(
    tree: Path, version: str, prepare: Callable[[Path], None] | None, words: str
) -> None:
    if prepare is not None:
        prepare(tree)
    before = _git(tree, "rev-parse", "HEAD"), _git(tree, "tag"), _git(tree, "status", "--porcelain")
    with pytest.raises(ReleaseError) as refused:
        cut(tree, version)
    assert words in str(refused.value)
    after = _git(tree, "rev-parse", "HEAD"), _git(tree, "tag"), _git(tree, "status", "--porcelain")
    assert after == before
