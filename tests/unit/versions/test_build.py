"""The build id follows the content of a process, and nothing else."""

import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

import orderfleet
import orderfleet_order_worker
import orderfleet_shipping_worker
from orderfleet.versions.build import build_id


@pytest.fixture
def package(tmp_path: Path) -> ModuleType:
    """A service of two files."""
    return _package(
        tmp_path / "one" / "service", {"main.py": "MAIN = 1\n", "query.sql": "SELECT 1"}
    )


def _package(root: Path, files: dict[str, str]) -> ModuleType:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    module = ModuleType(root.name)
    module.__path__ = [str(root)]
    return module


def _root(package: ModuleType) -> Path:
    return Path(package.__path__[0])


def test_it_is_12_hex_digits_and_stays(package: ModuleType) -> None:
    build = build_id(package)
    assert len(build) == 12
    assert int(build, 16) >= 0
    assert build_id(package) == build


@pytest.mark.parametrize("name", ["main.py", "query.sql"])
def test_a_byte_of_a_source_changes_it(package: ModuleType, name: str) -> None:
    build = build_id(package)
    source = _root(package) / name
    source.write_bytes(source.read_bytes() + b"#")
    assert build_id(package) != build


def test_so_does_a_new_file_an_empty_one_included_and_a_file_of_another_name(
    package: ModuleType,
) -> None:
    builds = {build_id(package)}
    (_root(package) / "empty.py").touch()
    builds.add(build_id(package))
    (_root(package) / "empty.py").rename(_root(package) / "void.py")
    builds.add(build_id(package))
    (_root(package) / "sub").mkdir()
    (_root(package) / "void.py").rename(_root(package) / "sub" / "void.py")
    builds.add(build_id(package))
    assert len(builds) == 4


def test_bytes_that_move_from_a_file_to_the_next_change_it(package: ModuleType) -> None:
    main, query = (_root(package) / name for name in ("main.py", "query.sql"))
    build = build_id(package)
    query.write_bytes(main.read_bytes()[-1:] + query.read_bytes())
    main.write_bytes(main.read_bytes()[:-1])
    assert build_id(package) != build


def test_time_place_byte_code_and_editors_do_not(package: ModuleType, tmp_path: Path) -> None:
    build = build_id(package)
    elsewhere = tmp_path / "two" / "service"
    shutil.copytree(_root(package), elsewhere)
    os.utime(elsewhere / "main.py", (0, 0))
    for name in ("__pycache__/main.cpython-311.pyc", ".main.py.swp"):
        (elsewhere / name).parent.mkdir(exist_ok=True)
        (elsewhere / name).write_text("anything")
    assert build_id(_package(elsewhere, {})) == build


def test_an_installed_distribution_changes_it(
    package: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = {build_id(package)}
    site = tmp_path / "site"
    monkeypatch.setattr(sys, "path", [*sys.path, str(site), str(tmp_path / "absent")])
    for version in ("1.0", "1.1"):
        (site / f"dependency-{version}.dist-info").mkdir(parents=True)
        builds.add(build_id(package))
        (site / f"dependency-{version}.dist-info").rmdir()
    assert len(builds) == 3
    assert build_id(package) in builds


def test_so_does_python(package: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    build = build_id(package)
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    assert build_id(package) != build


def test_core_is_part_of_it(
    package: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = build_id(package)
    core = tmp_path / "orderfleet"
    shutil.copytree(_root(orderfleet), core)
    monkeypatch.setattr(orderfleet, "__path__", [str(core)])
    assert build_id(package) == build
    (core / "polling.py").write_text("")
    assert build_id(package) != build


def test_services_differ() -> None:
    assert build_id(orderfleet_order_worker) != build_id(orderfleet_shipping_worker)
