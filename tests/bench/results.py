"""What was measured, as JSON, written anew after each trial: what breaks off loses nothing."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

_PACKAGES: Final = (
    *("temporalio", "litestar", "uvicorn", "asyncpg", "msgspec", "structlog"),
    "prometheus-client",
)
_ROOT: Final = Path(__file__).parents[2]


class Results:
    """The figures by part of the plan and by what was measured, each a list with an entry a run."""

    def __init__(self, plan: str, folder: Path) -> None:
        self.folder = folder
        self.about: dict[str, Any] = _about(plan)
        self.figures: dict[str, dict[str, list[Any]]] = {}

    def add(self, part: str, name: str, figure: Any) -> None:
        """Keep a figure and write all of them."""
        self.figures.setdefault(part, {}).setdefault(name, []).append(msgspec.to_builtins(figure))
        self.write()

    @property
    def document(self) -> dict[str, Any]:
        return {"about": self.about, "figures": self.figures}

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = msgspec.json.format(msgspec.json.encode(self.document), indent=1)
        self.path.write_bytes(text + b"\n")

    @property
    def path(self) -> Path:
        return self.folder / f"{self.about['plan']}.json"


def _about(plan: str) -> dict[str, Any]:
    return {
        "plan": plan,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed_since": bool(_git("status", "--porcelain", "--", "services", "charts")),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "processor": _processor(),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments), cwd=_ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _processor() -> str:
    """Return the processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((one.partition(": ")[2] for one in lines if one.startswith("model name")), "")
