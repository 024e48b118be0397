"""PID 1 of a dev image: real processes, real files, real signals."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.chart.rendering import ROOT
from tilt.image.reload import fill

# Prints the text that it reads; on SIGTERM it drains for `drain` seconds.
SERVICE: Final = """
import signal, sys, time
from pathlib import Path

drain = float(sys.argv[2])
def stop(*_):
    print("stopping", flush=True)
    time.sleep(drain)
    print("stopped", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
text = Path(sys.argv[1]).read_text()
print("running", text, flush=True)
if text == "crash":
    sys.exit(3)
while True:
    time.sleep(0.05)
"""
MAIN: Final = """
import sys
from pathlib import Path
from tilt.image.reload import run

sys.exit(run(sys.argv[3:], Path(sys.argv[1]), float(sys.argv[2])))
"""


class Reloader:
    """The reloader with a service, and their output."""

    def __init__(self, source: Path, drain: float, limit: float) -> None:
        self.file = source / "package" / "module.py"
        self.file.parent.mkdir()
        self.file.write_text("one")
        (source.parent / "service.py").write_text(SERVICE)
        service = [sys.executable, str(source.parent / "service.py"), str(self.file), str(drain)]
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", MAIN, str(source), str(limit), *service],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def started(self) -> None:
        assert self.line() == "running one"
        # The watch begins after the service.
        time.sleep(0.5)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    return tmp_path / "src"


@pytest.fixture
def reloader(source: Path, request: pytest.FixtureRequest) -> Iterator[Reloader]:
    drain, limit = getattr(request, "param", (0.0, 5.0))
    started = Reloader(source, drain, limit)
    with started.process:
        yield started
        # Killed, it would leave the service running.
        started.process.terminate()


def test_a_change_restarts_the_service_once_it_has_drained(reloader: Reloader) -> None:
    reloader.started()
    reloader.file.write_text("two")
    told = [reloader.line() for _ in range(4)]
    assert told == ["reload: package/module.py", "stopping", "stopped", "running two"]


@pytest.mark.parametrize("reloader", [(6.0, 20.0)], indirect=True)
def test_a_drain_takes_its_time(reloader: Reloader) -> None:
    # Longer than the 5 s that watchfiles' run_process gives a process on SIGTERM.
    reloader.started()
    assert reloader.end() == 7
    assert [reloader.line() for _ in range(2)] == ["stopping", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_as_the_service_ends(number: signal.Signals, reloader: Reloader) -> None:
    reloader.started()
    assert reloader.end(number) == 7
    assert [reloader.line() for _ in range(3)] == ["stopping", "stopped", ""]


@pytest.mark.parametrize("reloader", [(60.0, 0.5)], indirect=True)
def test_a_service_that_hangs_is_killed(reloader: Reloader) -> None:
    reloader.started()
    assert reloader.end() == -signal.SIGKILL % 256
    assert [reloader.line() for _ in range(2)] == [
        "stopping",
        "reload: killed, as it did not end in 0.5 s",
    ]


def test_a_service_that_has_ended_is_started_by_the_next_change(reloader: Reloader) -> None:
    reloader.started()
    reloader.file.write_text("crash")
    told = [reloader.line() for _ in range(4)]
    assert told == ["reload: package/module.py", "stopping", "stopped", "running crash"]
    time.sleep(0.5)
    assert reloader.process.poll() is None
    reloader.file.write_text("two")
    assert [reloader.line() for _ in range(2)] == ["reload: package/module.py", "running two"]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "app" / "package").mkdir(parents=True)
    (tmp_path / "app" / "package" / "one.py").write_text("one of the image")
    (tmp_path / "app" / "package" / "two.py").write_text("two of the image")
    return tmp_path / "app"


def test_an_empty_volume_gets_the_image_s_source(source: Path, image: Path) -> None:
    fill(source, image)
    assert texts(source) == {"one.py": "one of the image", "two.py": "two of the image"}


def test_what_was_saved_survives_a_restart(source: Path, image: Path) -> None:
    fill(source, image)
    (source / "package" / "one.py").write_text("saved")
    (source / "package" / "two.py").unlink()
    (source / "package" / "three.py").write_text("new")
    fill(source, image)
    assert texts(source) == {"one.py": "saved", "three.py": "new"}


def test_a_new_image_wins_over_an_older_volume(source: Path, image: Path) -> None:
    fill(source, image)
    (source / "package" / "one.py").write_text("saved")
    (source / "package" / "three.py").write_text("new")
    (image / "package" / "two.py").write_text("two of the next image")
    fill(source, image)
    assert texts(source) == {"one.py": "one of the image", "two.py": "two of the next image"}


def test_a_file_that_came_first_stays(source: Path, image: Path) -> None:
    (source / "package").mkdir()
    (source / "package" / "one.py").write_text("saved")
    fill(source, image)
    assert texts(source) == {"one.py": "saved", "two.py": "two of the image"}


def texts(source: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (source / "package").iterdir()}
