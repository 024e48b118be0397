"""A release of a clone, from `make release` to `make verify-release`: `make test-release`.

BUILDER and BUILD_ARGS are those of `make images`; BASE_IMAGE replaces the base image's digest.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from release.artifacts import LIST, publish
from release.cosign import attest, sign_file
from release.settings import Settings
from release.tools import SERVICES, ReleaseError, commit_of, image_name
from release.verify import verify
from release.version import cut

# Two builds of three images; each signed SBOM has 4 MB.
pytestmark = pytest.mark.timeout(1800)

ROOT: Final = Path(__file__).parents[2]
_VERSION: Final = "9.8.7"
_REGISTRY: Final = """
version: 0.1
log: {{accesslog: {{disabled: true}}, level: error}}
storage:
  filesystem: {{rootdirectory: {directory}/registry}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def _call(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        command, check=True, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for program in ("cosign", "helm", "registry", "syft"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on PATH: make release-tools")
    directory = tmp_path_factory.mktemp("registry")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    config = directory / "config.yml"
    config.write_text(_REGISTRY.format(directory=directory, port=port))
    with (directory / "log").open("w") as log:
        server = subprocess.Popen(("registry", "serve", config), stdout=log, stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}/shop"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone with a release's commit and tag."""
    directory = tmp_path_factory.mktemp("release") / "clone"
    _call("git", "clone", "--quiet", "--shared", ROOT, directory, cwd=ROOT)
    for name, value in (("name", "A"), ("email", "a@example.com")):
        _call("git", "config", f"user.{name}", value, cwd=directory)
    assert cut(directory, _VERSION) == f"v{_VERSION}"
    return directory


def _key(directory: Path) -> Path:
    _call("cosign", "generate-key-pair", cwd=directory, COSIGN_PASSWORD="")
    return directory


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _key(tmp_path_factory.mktemp("keys"))


def _settings(registry: str, key: Path) -> Settings:
    return Settings(
        registry=registry,
        builder=os.environ.get("BUILDER") or "docker",
        key=str(key),
        source="https://git.example/orderfleet",
    )


@pytest.fixture(scope="module")
def released(
    registry: str, clone: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Return the documents of a release that was built twice, the first time beside a cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COSIGN_PASSWORD", "")
        settings = _settings(registry, keys / "cosign.key")
        # An ordinary build, as before most releases: its steps have other times.
        _call(clone / "services/images.sh", cwd=clone, BUILDER=settings.builder)
        documents = publish(clone, settings)
        first = tmp_path_factory.mktemp("first")
        shutil.copytree(documents, first, dirs_exist_ok=True)
        patch.setenv("BUILD_ARGS", f"{os.environ.get('BUILD_ARGS', '')} --no-cache")
        publish(clone, settings)
        _compare(first, documents)
        yield documents


def _compare(first: Path, second: Path) -> None:
    before, after = (json.loads((folder / LIST).read_text()) for folder in (first, second))
    # helm writes the time into the manifest that it pushes with the chart.
    before.pop("chart"), after.pop("chart")
    assert before == after
    for path in first.iterdir():
        if not path.name.startswith(LIST):
            assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def _verified(clone: Path, settings: Settings, documents: Path) -> list[str]:
    return list(verify(clone, settings, _VERSION, documents))


def test_release_is_what_the_tree_says(
    registry: str, clone: Path, keys: Path, released: Path
) -> None:
    lines = _verified(clone, _settings(registry, keys / "cosign.pub"), released)
    for service in SERVICES:
        assert any(image_name(service) in line and "SBOM" in line for line in lines)
    assert "with the images' digests" in lines[-1]


def test_another_key_did_not_sign_it(
    registry: str, clone: Path, released: Path, tmp_path: Path
) -> None:
    with pytest.raises(ReleaseError, match="cosign"):
        _verified(clone, _settings(registry, _key(tmp_path) / "cosign.pub"), released)


def test_changed_list_is_noticed(
    registry: str, clone: Path, keys: Path, released: Path, tmp_path: Path
) -> None:
    shutil.copytree(released, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / LIST).read_text()
    (tmp_path / LIST).write_text(text.replace(commit_of(clone), "0" * 40))
    with pytest.raises(ReleaseError, match="verify-blob"):
        _verified(clone, _settings(registry, keys / "cosign.pub"), tmp_path)


def test_moved_tag_is_noticed(
    registry: str, clone: Path, keys: Path, released: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, symlinks=True)
    _call("git", "commit", "--quiet", "--allow-empty", "--message", "Later", cwd=copy)
    _call("git", "tag", "--force", f"v{_VERSION}", cwd=copy)
    with pytest.raises(ReleaseError, match="the commit of the list"):
        _verified(copy, _settings(registry, keys / "cosign.pub"), released)


def _spoiled(
    documents: Path, directory: Path, settings: Settings, root: Path, **values: Any
) -> Path:
    """Return a copy of the documents with a list that has other digests, signed again."""
    shutil.copytree(documents, directory, dirs_exist_ok=True)
    content = json.loads((directory / LIST).read_text())
    (directory / LIST).write_text(json.dumps(content | values))
    sign_file(root, settings, directory / LIST)
    return directory


def test_another_image_under_the_tag_is_noticed(
    registry: str, clone: Path, keys: Path, released: Path, tmp_path: Path
) -> None:
    images = json.loads((released / LIST).read_text())["images"]
    images["orderfleet-api"] = images["orderfleet-order-worker"]
    settings = _settings(registry, keys / "cosign.key")
    spoiled = _spoiled(released, tmp_path, settings, clone, images=images)
    with pytest.raises(ReleaseError, match=r"the digest of orderfleet-api:9\.8\.7"):
        _verified(clone, _settings(registry, keys / "cosign.pub"), spoiled)


def test_sbom_with_another_distribution_is_noticed(
    registry: str, clone: Path, keys: Path, released: Path, tmp_path: Path
) -> None:
    """The last test: the statement stays beside the image."""
    name = "orderfleet-shipping-worker"
    sbom = json.loads((released / f"{name}.spdx.json").read_text())
    package = next(package for package in sbom["packages"] if package["name"] == "msgspec")
    package["versionInfo"] = "0.0.1"
    (tmp_path / "sbom.json").write_text(json.dumps(sbom))
    digest = json.loads((released / LIST).read_text())["images"][name]
    settings = _settings(registry, keys / "cosign.key")
    attest(clone, settings, f"{registry}/{name}@{digest}", "spdxjson", tmp_path / "sbom.json")
    with pytest.raises(ReleaseError, match=r"msgspec.*0\.0\.1"):
        _verified(clone, _settings(registry, keys / "cosign.pub"), released)
