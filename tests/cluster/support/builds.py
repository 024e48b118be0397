"""Good and bad builds of the order worker: today's source with an edit, as an image of its own."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.cluster.support import images

_WORKER: Final = "order_worker"
_SOURCE: Final = Path("services/order_worker/src/orderfleet_order_worker")


@dataclass(frozen=True)
class Build:
    """An edit: a line of the order worker's source, and what comes before it."""

    name: str
    file: str
    line: str
    before: tuple[str, ...]

    @property
    def tag(self) -> str:
        return f"{images.TAG}-test-{self.name}"

    @property
    def values(self) -> dict[str, str]:
        """The chart's values: this build of the order worker, and the rest as it was."""
        return images.values(images.OLD) | {"orderWorker.image.tag": self.tag}

    def make(self) -> None:
        """Build the image and load it."""
        with TemporaryDirectory() as directory:
            tree = images.copy(Path(directory))
            self.edit(tree)
            images.build(tree, self.tag, [_WORKER])
        images.load(self.tag, [_WORKER])

    def edit(self, tree: Path) -> Path:
        """Edit the source in a copy of the repository; return the file."""
        path = tree / _SOURCE / self.file
        lines = path.read_text().splitlines(keepends=True)
        (number,) = (at for at, line in enumerate(lines) if line.strip() == self.line)
        indent = lines[number][: -len(lines[number].lstrip())]
        lines[number:number] = [f"{indent}{line}\n" for line in self.before]
        path.write_text("".join(lines))
        return path


# Orders that began on the build before would not replay on it.
ONE_MORE_COMMAND: Final = Build(
    "one-more-command",
    "workflow.py",
    "await self._receive()",
    ("await workflow.sleep(timedelta(milliseconds=1))",),
)
CRASHES: Final = Build(
    "crashes",
    "activities.py",
    "return ReceiveResult(shipping_task_queue=self._shipping_task_queue)",
    ('__import__("os")._exit(1)',),
)
DECLINES: Final = Build(
    "declines",
    "activities.py",
    "await self._gateway.charge(charge)",
    (
        "if sum(charge.order_id.encode()) % 10 < 3:",
        '    raise GatewayRefusedError("by a bad build")',
    ),
)
BUILDS: Final = (ONE_MORE_COMMAND, CRASHES, DECLINES)
