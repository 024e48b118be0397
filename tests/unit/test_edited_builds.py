"""The cluster's tests edit today's source: the places of their edits have to be there."""

import ast
import shutil
from pathlib import Path

import pytest

from tests.cluster.support.builds import BUILDS, Build
from tests.images.services import ROOT


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_a_build_is_the_source_with_an_edit(build: Build, tmp_path: Path) -> None:
    worker = "services/order_worker"
    shutil.copytree(ROOT / worker, tmp_path / worker)
    path = build.edit(tmp_path)
    ast.parse(path.read_text())
    before = (ROOT / path.relative_to(tmp_path)).read_text().splitlines()
    after = path.read_text().splitlines()
    added = [line.strip() for line in after if line not in before]
    assert added == [line.strip() for line in build.before]
