import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from orderfleet_cli.errors import CommandError
from orderfleet_cli.local.pid_files import PidFile, lock_directory, stop_left_over, write_pid_file

_HOLD = """
import sys, time
from pathlib import Path
from orderfleet_cli.local.pid_files import lock_directory
with lock_directory(Path(sys.argv[1])):
    print("owned", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_what_was_left_over_is_stopped(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    write_pid_file(tmp_path, "api", sleeper.pid, signal.SIGTERM)
    assert stop_left_over(tmp_path) == [f"api (pid {sleeper.pid})"]
    assert sleeper.wait(5) == -signal.SIGTERM
    assert stop_left_over(tmp_path) == []


def test_another_process_with_the_same_pid_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    started = psutil.Process(sleeper.pid).create_time() - 60
    record = PidFile("api", sleeper.pid, started, signal.SIGKILL)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "api.json").write_bytes(msgspec.json.encode(record))
    assert stop_left_over(tmp_path) == []
    assert sleeper.poll() is None


def test_a_pid_file_cut_short_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "api.json").write_text('{"name": "a')
    assert stop_left_over(tmp_path) == []


def test_a_directory_has_one_owner_and_a_crash_frees_it(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"owned\n"
        with (
            pytest.raises(CommandError, match=f"in use .*pid {holder.pid}"),
            lock_directory(tmp_path),
        ):
            pass
        holder.kill()
        holder.wait()
        with lock_directory(tmp_path):
            assert str(os.getpid()) in (tmp_path / "run" / "orderfleet.json").read_text()
    assert not (tmp_path / "run" / "orderfleet.json").exists()
