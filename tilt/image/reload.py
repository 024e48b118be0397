"""PID 1 of the images of `tilt up`: runs a service, and restarts it when its source changes.

The source is on a volume, filled from the image at start; Tilt syncs saved files to it. Watchfiles'
own `run_process` kills a process 5 s after SIGTERM, whatever its arguments: half of a drain.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from watchfiles import watch

IMAGE: Final = Path("/app")
SOURCE: Final = Path("/src")
_MARK: Final = ".image"
# A versioned worker waits for its orders before its drain, until their deadline and 2 s more. A
# service exits within 5 s after its drain; otherwise it hangs.
_BEYOND_DRAIN_SECONDS: Final = 2.0 + 6.0


def fill(source: Path, image: Path) -> None:
    """Copy the image's source to the volume, unless the volume was filled from this image.

    After a restart of the container the volume keeps the files that were saved since; a new image
    replaces them.
    """
    mark, wanted = source / _MARK, _digest(image)
    if mark.exists():
        if mark.read_text() == wanted:
            return
        for path in source.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in _files(image):
        copy = source / path.relative_to(image)
        copy.parent.mkdir(parents=True, exist_ok=True)
        # A file that is already on a fresh volume was saved and synced during the start.
        if not copy.exists():
            shutil.copyfile(path, copy)
    mark.write_text(wanted)


def run(command: list[str], source: Path, limit: float) -> int:
    """Run the command until SIGTERM or SIGINT, and return its exit status.

    A change of the source restarts it, also after it has exited by itself. A process that does not
    exit within `limit` seconds after SIGTERM is killed.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    process = subprocess.Popen(command)
    for changes in watch(source, stop_event=stopping):
        names = sorted({str(Path(path).relative_to(source)) for _, path in changes})
        print(f"reload: {', '.join(names)}", file=sys.stderr, flush=True)
        _end(process, limit)
        if not stopping.is_set():
            process = subprocess.Popen(command)
    return _end(process, limit)


def _end(process: subprocess.Popen[bytes], limit: float) -> int:
    process.terminate()
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        print(f"reload: killed, as it did not end in {limit:g} s", file=sys.stderr, flush=True)
        process.kill()
        return process.wait()


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _digest(directory: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(directory):
        digest.update(f"{path.relative_to(directory)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    fill(SOURCE, IMAGE)
    drain = float(os.environ.get("ORDERFLEET_DRAIN_SECONDS", "10"))
    command = [sys.executable, "-m", os.environ["RELOAD_MODULE"]]
    deadline = float(os.environ.get("ORDER_DEADLINE_SECONDS", "15"))
    sys.exit(run(command, SOURCE, deadline + drain + _BEYOND_DRAIN_SECONDS))
