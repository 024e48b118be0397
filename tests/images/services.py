"""The services that have an image, as the repository describes them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Service:
    folder: str

    @property
    def program(self) -> str:
        """The name of the program, of the distribution and of the image."""
        return f"orderfleet-{self.folder.replace('_', '-')}"

    @property
    def projects(self) -> list[Path]:
        return [ROOT / "services/core", ROOT / "services" / self.folder]

    @property
    def own(self) -> dict[str, str]:
        """Our distributions and their versions."""
        return {project["name"]: project["version"] for project in self._tables()}

    @property
    def description(self) -> str:
        return str(self._tables()[-1]["description"])

    @property
    def scripts(self) -> set[str]:
        return {script for project in self._tables() for script in project["scripts"]}

    def locked(self, markers: Mapping[str, str]) -> dict[str, str]:
        """Third-party distributions and their versions, for an interpreter with these markers."""
        versions: dict[str, str] = {}
        for line in (ROOT / "services" / self.folder / "requirements.txt").read_text().splitlines():
            if line.startswith(("#", " ")):
                continue
            requirement = Requirement(line.removesuffix("\\"))
            if requirement.marker is None or requirement.marker.evaluate(dict(markers)):
                versions[requirement.name] = str(requirement.specifier).removeprefix("==")
        return versions

    def sources(self) -> dict[str, bytes]:
        """Our files, by their paths in the image."""
        files = {
            f"/app/{path.relative_to(project / 'src')}": path.read_bytes()
            for project in self.projects
            for path in (project / "src").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        board = ROOT / "services" / self.folder / "board"
        return files | {
            f"/app/orderfleet_api/board/{path.name}": path.read_bytes() for path in board.glob("*")
        }

    def _tables(self) -> list[dict[str, Any]]:
        return [
            tomllib.loads((project / "pyproject.toml").read_text())["project"]
            for project in self.projects
        ]


SERVICES: Final = [Service("api"), Service("order_worker"), Service("shipping_worker")]
