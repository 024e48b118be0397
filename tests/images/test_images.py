"""The images of `make images`: what they contain, what they do not contain, and that they run."""

import json
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest

from tests.images.builders import Builder
from tests.images.conftest import Image, saved
from tests.images.services import ROOT, Service

pytestmark = pytest.mark.timeout(900)

_UID: Final = 10001
_ANY_USER: Final = "1000680000:0"
# Source and byte code of the API, the largest, are 2.3 MB; a package of somebody else would show.
_LAYER_BYTES: Final = 3_000_000
# The image's `python` sees the environment in /venv and our code in /app. The base image's pip is
# outside of both and stays: a layer cannot remove it from the layers below.
_LIST: Final = """
import importlib.metadata, json, platform
print(json.dumps([
    {"python_version": ".".join(platform.python_version_tuple()[:2]),
     "python_full_version": platform.python_version(), "platform_machine": platform.machine(),
     "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    [(d.name, d.version) for d in importlib.metadata.distributions()],
]))
"""
_WRITE: Final = """
import errno, os
assert (os.getuid(), os.getgid()) == (10001, 10001), (os.getuid(), os.getgid())
for path in ("/x", "/app/x", "/venv/x"):
    try:
        open(path, "w")
    except OSError as error:
        assert error.errno == errno.EROFS, error
    else:
        raise AssertionError(path)
"""
# In a container the API listens on every address, and then starts with keys or open only.
_OPEN: Final = {"ORDERFLEET_API_OPEN": "true"}
_WORKERS: Final = {"orderfleet-order-worker", "orderfleet-shipping-worker"}
_SERVERS: Final = {"orderfleet-api", "litestar", "uvicorn"}
_FOREIGN: Final = {
    "api": _WORKERS,
    "order_worker": _SERVERS | {"orderfleet-shipping-worker"},
    "shipping_worker": _SERVERS | {"orderfleet-order-worker"},
}
_TOOLS: Final = {"pip", "uv", "hatchling", "setuptools", "wheel", "editables", "pytest", "uvx"}
_COMPILER: Final = re.compile(
    r".*/s?bin/(.*-)?(gcc|g\+\+|cc|c\+\+|cpp|clang|ld|rustc|cargo|make)(-[0-9.]+)?"
)
# Leftovers of package managers, except their empty lock files.
_CACHE: Final = re.compile(
    r"(/root|/home/[^/]+|)/\.cache/.*|/var/cache/apt/.*\.deb|/var/lib/apt/lists/.*_.*|/tmp/.*"
)


def test_distributions_are_the_locked_ones_and_ours(image: Image) -> None:
    listed = image.run("python", "-c", _LIST)
    assert listed.returncode == 0, listed.stderr
    markers, pairs = json.loads(listed.stdout)
    installed = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}
    assert len(installed) == len(pairs)
    assert installed == image.service.locked(markers) | image.service.own
    # Even if a lock file lists them.
    assert not installed.keys() & _FOREIGN[image.service.folder]
    assert not installed.keys() & _TOOLS


def test_nothing_of_the_build_is_left(image: Image) -> None:
    *_, packages, code = (layer.files for layer in image.archive.layers)
    assert {path.split("/")[1] for path in packages} == {"venv"}
    assert {path.split("/")[1] for path in code} == {"app", "licenses"}
    programs = {path.rpartition("/")[2] for path in packages if path.startswith("/venv/bin/")}
    assert "python" in programs
    # `pip3.13` too, but not `uvicorn`.
    assert not {name for name in programs if re.split(r"[-.0-9]", name)[0] in _TOOLS}
    assert not {path for path in image.archive.files if _COMPILER.fullmatch(path)}
    assert not {path for path in image.archive.files if _CACHE.fullmatch(path)}


def test_sources_are_ours_of_today(image: Image) -> None:
    code = {path for path in image.archive.under("/app") if "__pycache__" not in path}
    code = {path for path in code if not path.startswith("/app/bin/") and ".dist-info/" not in path}
    sources = image.service.sources()
    assert code == sources.keys(), "build the images first: make images"
    assert [path for path in sorted(code) if image.archive.read(path) != sources[path]] == []
    assert image.archive.read("/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize(
    ("directory", "flags"), [("/app", 0b11), ("/venv", 0b01)], ids=["ours", "theirs"]
)
def test_every_module_has_byte_code_that_needs_no_time(
    image: Image, directory: str, flags: int
) -> None:
    # PEP 552: bit 0 means by hash instead of by time, bit 1 that the import checks the hash.
    code = image.archive.under(directory)
    compiled = {path for path in code if path.endswith(".pyc")}
    modules = {path.partition(".cpython-")[0].replace("__pycache__/", "") for path in compiled}
    assert {path for path in code if path.endswith(".py")} == {f"{path}.py" for path in modules}
    assert {image.archive.read(path, 8)[4:] for path in compiled} == {flags.to_bytes(4, "little")}


def test_nobody_but_root_can_write_code(image: Image) -> None:
    for path in image.archive.under("/app", "/venv"):
        member = image.archive.member(path)
        assert (member.uid, member.gid) == (0, 0), path
        assert member.issym() or member.mode & 0o7022 == 0, (path, oct(member.mode))
        assert member.issym() or member.mode & 0o044 == 0o044, (path, oct(member.mode))


def test_configuration(image: Image) -> None:
    config = image.archive.config
    service = image.service
    assert config["User"] == f"{_UID}:{_UID}"
    assert config["Entrypoint"] == [service.program]
    assert not config.get("Cmd")
    ports = {"8000/tcp", "9090/tcp"} if service.folder == "api" else {"9090/tcp"}
    assert config["ExposedPorts"].keys() == ports
    env = dict(pair.split("=", 1) for pair in config["Env"])
    assert env["PATH"].startswith("/app/bin:/venv/bin:")
    assert env["PYTHONUNBUFFERED"] == "1"
    assert env["ORDERFLEET_PROBE_HOST"] == "::"
    assert env.get("ORDERFLEET_API_HOST") == ("::" if service.folder == "api" else None)
    assert not {name for name in env if name.startswith("PIP_")}


def test_labels(image: Image) -> None:
    prefix = "org.opencontainers.image."
    labels = {
        name.removeprefix(prefix): value
        for name, value in image.archive.config["Labels"].items()
        if name.startswith(prefix)
    }
    revision = labels.pop("revision")
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", revision)
    # The commit's time.
    if revision != "unknown":
        datetime.fromisoformat(labels.pop("created"))
    assert labels == {
        "title": image.service.program,
        "description": image.service.description,
        "licenses": "Apache-2.0",
        "version": image.service.own[image.service.program],
    }


def test_runs_as_nobody_on_a_read_only_root(image: Image) -> None:
    written = image.run("python", "-c", _WRITE)
    assert (written.returncode, written.stderr) == (0, "")


def test_runs_as_any_user_of_the_root_group(image: Image) -> None:
    """Start as OpenShift does: a user whom the image does not know."""
    for program in image.service.scripts:
        shown = image.run(program, "--print-config", user=_ANY_USER, **_OPEN)
        assert (shown.returncode, shown.stderr) == (0, ""), program


def test_programs_start(image: Image) -> None:
    (entry_point,) = image.archive.config["Entrypoint"]
    for program in image.service.scripts | {entry_point}:
        shown = image.run(program, "--print-config", **_OPEN)
        assert (shown.returncode, shown.stderr) == (0, ""), program
        assert "DATABASE_URL" in shown.stdout
    wrong = image.run(entry_point, ORDERFLEET_PROBE_PORT="none")
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    (line,) = wrong.stderr.splitlines()
    assert "ORDERFLEET_PROBE_PORT" in line


def test_workers_share_the_layer_of_their_packages(images: dict[str, Image]) -> None:
    orders, shipping = (images[f"{name}_worker"].archive.layers for name in ("order", "shipping"))
    assert orders[:-1] == shipping[:-1]
    assert orders[-1] != shipping[-1]


def test_a_build_of_the_same_sources_takes_what_is_there(
    builder: Builder, images: dict[str, Image]
) -> None:
    # Before the tests that remove an image: buildah removes steps with it that others share.
    image = images["shipping_worker"]
    name = builder.build(ROOT, image.service, "again")
    try:
        with saved(builder, image.service, name) as again:
            assert again.archive.created == image.archive.created
    finally:
        builder.remove(name)


def test_a_change_of_code_makes_one_small_layer(
    builder: Builder, image: Image, tmp_path: Path
) -> None:
    service = image.service
    context = _changed_copy(service, tmp_path)
    name = builder.build(context, service, f"changed-{tmp_path.parent.name}")
    try:
        with saved(builder, service, name) as changed:
            before, after = image.archive.layers, changed.archive.layers
            assert before[:-1] == after[:-1]
            assert before[-1].digest != after[-1].digest
            assert after[-1].size < _LAYER_BYTES
            assert changed.run(service.program, "--print-config", **_OPEN).returncode == 0
    finally:
        builder.remove(name)


def test_a_change_of_a_service_leaves_another_as_it_is(
    builder: Builder, images: dict[str, Image], tmp_path: Path
) -> None:
    image = images["shipping_worker"]
    context = _changed_copy(images["api"].service, tmp_path)
    name = builder.build(context, image.service, f"other-{tmp_path.parent.name}")
    try:
        with saved(builder, image.service, name) as built:
            assert built.archive.layers == image.archive.layers
    finally:
        builder.remove(name)


def _changed_copy(service: Service, directory: Path) -> Path:
    """Copy the images' sources, with one more line in the service's main module."""
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "services", directory / "services", ignore=unwanted)
    for name in (".dockerignore", "LICENSE"):
        shutil.copy2(ROOT / name, directory)
    (main,) = (directory / "services" / service.folder).glob("src/*/main.py")
    with main.open("a") as file:
        file.write("\n# changed\n")
    return directory
