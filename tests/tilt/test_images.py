"""The dev images: their sources, and where saved files are synced to."""

import fnmatch
import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.chart.rendering import ROOT, Object, pods
from tests.images import services as images
from tests.tilt.recorder import Image, Tilt, evaluate
from tilt.image.reload import IMAGE, SOURCE

pytestmark = pytest.mark.needs("helm")

COPY: Final = re.compile(r"^COPY (?!--from)(.+) \S+$", re.MULTILINE)
DOCKERFILE: Final = (ROOT / "services/Dockerfile").read_text()
BOARD: Final = "services/api/board"
SERVICES: Final = sorted(service.folder for service in images.SERVICES)


def service_of(image: Image) -> str:
    return image.ref.removeprefix("orderfleet-").replace("-", "_")


def containers(tilt: Tilt, image: Image) -> list[tuple[Object, Object]]:
    """Return pods' specs and their containers that go on running and have this image."""
    return [
        (pod.spec, container)
        for pod in pods([manifest for manifest in tilt.objects if manifest["kind"] == "Deployment"])
        for container in pod.spec["containers"]
        if container["image"].rpartition(":")[0] == image.ref
    ]


@pytest.fixture(scope="module")
def tilt() -> Tilt:
    return evaluate()


@pytest.fixture(params=SERVICES)
def image(tilt: Tilt, request: pytest.FixtureRequest) -> Image:
    (found,) = (image for image in tilt.images if service_of(image) == request.param)
    return found


def test_ours_are_built_and_nothing_else(tilt: Tilt) -> None:
    used = {
        container["image"].rpartition(":")[0]
        for pod in pods(tilt.objects)
        for container in pod.containers()
    }
    ours = {name for name in used if name.startswith("orderfleet-")}
    assert [image.ref for image in tilt.images] == sorted(ours)
    assert sorted(service_of(image) for image in tilt.images) == SERVICES


def test_the_command_is_there(image: Image) -> None:
    program, service = image.command
    assert os.access(ROOT / program, os.X_OK)
    assert service == service_of(image)


def test_all_that_gets_into_the_image_makes_a_new_one(image: Image) -> None:
    for dep in image.deps:
        assert (ROOT / dep).exists(), dep
    sources = " ".join(COPY.findall(DOCKERFILE)).replace("${SERVICE}", service_of(image)).split()
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = {name for name in allowed for source in sources if f"{name}/".startswith(f"{source}/")}
    assert copied
    deps = set(image.deps) - {"services/Dockerfile"}
    assert {dep for name in copied for dep in deps if f"{name}/".startswith(f"{dep}/")} == deps
    assert not {
        name for name in copied if not any(f"{name}/".startswith(f"{dep}/") for dep in deps)
    }
    assert "services/Dockerfile" in image.deps


def test_source_is_synced_and_the_rest_is_not(image: Image) -> None:
    synced = {step["local"] for step in image.live_update}
    board = {BOARD} if service_of(image) == "api" else set()
    assert synced == {"services/core/src", f"services/{service_of(image)}/src", *board}
    assert synced <= set(image.deps)
    assert all((ROOT / path).is_dir() for path in synced)


def test_source_is_synced_to_the_volume_that_python_looks_in(tilt: Tilt, image: Image) -> None:
    places = {step["local"]: step["remote"] for step in image.live_update}
    assert places.pop(BOARD, None) in {None, f"{SOURCE}/orderfleet_api/board"}
    (place,) = set(places.values())
    assert Path(place) == SOURCE
    assert f"ENV PYTHONPATH={place} " in DOCKERFILE
    found = containers(tilt, image)
    assert found
    for pod, container in found:
        volumes = {volume["name"]: volume.keys() for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert "emptyDir" in volumes[mounts[place]]
        # The entry point of the image has to run, as PID 1.
        assert "command" not in container
        assert "args" not in container


def test_the_dev_stage_runs_the_service_by_the_reloader(image: Image) -> None:
    *_, reloader, dev, _ = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    assert "COPY tilt/image/reload.py /reloader/" in reloader
    assert dev.startswith("${SERVICE} AS dev\n")
    assert 'ENTRYPOINT ["python", "/reloader/reload.py"]' in dev
    (module,) = re.findall(r"RELOAD_MODULE=(\S+)$", dev, re.MULTILINE)
    folder = service_of(image)
    path = module.replace("${SERVICE}", folder).replace(".", "/")
    assert (ROOT / f"services/{folder}/src/{path}.py").is_file()
    assert f"--target {IMAGE} " in DOCKERFILE


@pytest.mark.parametrize(
    ("config", "by_tilt"),
    [
        ({}, True),
        ({"builder": "docker"}, True),
        ({"builder": "docker", "load": "lode"}, False),
        ({"builder": "podman"}, False),
        ({"builder": "buildah", "build_args": "--pull-never", "load": "lode --here"}, False),
    ],
)
def test_builders(config: dict[str, str], by_tilt: bool) -> None:
    for image in evaluate(config, context="k3d-a").images:
        assert image.skips_local_docker is not by_tilt
        assert image.env == {
            "BUILDER": config.get("builder", "docker"),
            "BUILD_ARGS": config.get("build_args", ""),
            "CONTEXT": "k3d-a",
            "LOAD": config.get("load", ""),
        }


def test_byte_code_is_neither_synced_nor_a_reason_to_build() -> None:
    patterns = [
        line for line in (ROOT / ".tiltignore").read_text().splitlines() if not line.startswith("#")
    ]
    for made in ("services/core/src/orderfleet/__pycache__", "services/core/src/a.egg-info"):
        assert any(fnmatch.fnmatch(made, pattern) for pattern in patterns), made
