"""The table at the end: the duration and the observations of each step."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Step:
    name: str
    seconds: float = 0.0
    failed: bool = False
    seen: dict[str, Any] = field(default_factory=dict)

    def saw(self, **seen: Any) -> None:
        """Add observations to the table."""
        self.seen |= seen

    @property
    def line(self) -> str:
        seen = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.seen.items())
        return f"{'FAILED' if self.failed else 'ok':<6} {self.seconds:>6.1f} s  {self.name}: {seen}"


@dataclass
class Steps:
    done: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        row, began = Step(name), time.monotonic()
        self.done.append(row)
        try:
            yield row
        except BaseException:
            row.failed = True
            raise
        finally:
            row.seconds = time.monotonic() - began

    def write(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        rows = [{**vars(step), "seconds": round(step.seconds, 1)} for step in self.done]
        path.write_text(json.dumps(rows, indent=2) + "\n")
