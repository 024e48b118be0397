import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.images.archive import Archive
from tests.images.builders import Builder, Outcome
from tests.images.services import SERVICES, Service


@dataclass(frozen=True)
class Image:
    service: Service
    name: str
    archive: Archive
    builder: Builder

    def run(self, *command: str, user: str = "", **env: str) -> Outcome:
        config = self.archive.config
        config = {**config, "User": user or config["User"]}
        return self.builder.run(self.name, config, *command, **env)


@contextmanager
def saved(builder: Builder, service: Service, name: str) -> Iterator[Image]:
    # Not tmp_path: pytest keeps it for three runs, which would be gigabytes.
    with TemporaryDirectory() as directory:
        path = Path(directory) / "image.tar"
        builder.save(name, path)
        with Archive.opened(path) as archive:
            yield Image(service, name, archive, builder)


@pytest.fixture(scope="session")
def builder() -> Builder:
    name = os.environ.get("BUILDER") or "docker"
    if shutil.which(name) is None:
        pytest.fail(
            f"{name} is not installed: set BUILDER to docker, podman or buildah", pytrace=False
        )
    return Builder(name)


@pytest.fixture(scope="session")
def images(builder: Builder) -> Iterator[dict[str, Image]]:
    """All images, by their services' folders."""
    tag = os.environ.get("TAG") or SERVICES[0].own[SERVICES[0].program]
    with ExitStack() as stack:
        yield {
            service.folder: stack.enter_context(
                saved(builder, service, builder.image(service, tag))
            )
            for service in SERVICES
        }


@pytest.fixture(params=[service.folder for service in SERVICES])
def image(images: dict[str, Image], request: pytest.FixtureRequest) -> Image:
    return images[request.param]
