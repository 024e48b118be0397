"""The measurements, as docs/scaling/measured.md and its pictures."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster.scaling.support.pictures import draw
from tests.cluster.scaling.support.watching import Look


@dataclass
class Results:
    """Every run writes them anew."""

    folder: Path
    target: str
    head: str
    parts: list[str] = field(default_factory=list)

    def add(
        self,
        title: str,
        seen: Mapping[str, object],
        looks: Sequence[Look] = (),
        marks: Mapping[str, float] | None = None,
        *,
        values: str = "used backlog",
    ) -> None:
        rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in seen.items())
        part = f"## {title}\n\n| | |\n|---|---|\n{rows}\n"
        if looks:
            name = "-".join(title.lower().replace(",", "").split()[:5]) + ".png"
            draw(title, looks, marks or {}, values, self.folder / name)
            part += f"\n![{title}]({name})\n"
        self.parts.append(part)
        self.write()

    def write(self) -> None:
        day = datetime.now(UTC).date()
        origin = f"`make {self.target}` wrote this on {day}, on {os.cpu_count()} cores. {self.head}"
        text = "\n".join(["# Scaling, as measured", "", origin, "", *self.parts])
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "measured.md").write_text(text)
