"""Tests of versions edit today's source: the places of their edits have to be there."""

import ast
import shutil
from pathlib import Path

import pytest

from tests.images.services import ROOT
from tests.support.builds import ALL, Build, package


@pytest.mark.parametrize("build", ALL, ids=lambda build: build.name)
def test_a_build_is_the_source_with_an_edit(build: Build, tmp_path: Path) -> None:
    today = ROOT / "services"
    for service in {edit.service for edit in build.edits}:
        shutil.copytree(package(today, service), package(tmp_path, service))
    for edit, path in zip(build.edits, build.apply(tmp_path), strict=True):
        ast.parse(path.read_text())
        before = (today / path.relative_to(tmp_path)).read_text().splitlines()
        after = path.read_text().splitlines()
        added = [line.strip() for line in after if line not in before]
        assert added == [line.strip() for line in edit.before]


def test_builds_differ() -> None:
    assert len({build.name for build in ALL}) == len(ALL)
    assert len({(build.edits, build.migration) for build in ALL}) == len(ALL)
