"""Bad builds of the order worker, as images; what their gates said."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.cluster.support import images
from tests.support import builds
from tests.support.builds import ORDER_WORKER


@dataclass(frozen=True)
class Build:
    """A build of the order worker."""

    source: builds.Build

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def tag(self) -> str:
        return f"{images.TAG}-test-{self.name}"

    @property
    def values(self) -> dict[str, str]:
        """The chart's values: this build of the order worker, and the chart's own gate."""
        return images.values(images.OLD, gate={}) | {"orderWorker.image.tag": self.tag}

    def make(self) -> None:
        """Build the image and load it."""
        with TemporaryDirectory() as directory:
            tree = images.copy(Path(directory))
            self.source.apply(tree / "services")
            images.build(tree, self.tag, [ORDER_WORKER])
        images.load(self.tag, [ORDER_WORKER])


CRASHES: Final = Build(builds.CRASHES)
