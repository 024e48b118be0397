"""Who is measured, and who is not, run on cores of their own."""

import os
import sys
from pathlib import Path
from typing import Final

import pytest

from orderfleet_cli.local.processes import Process, Program, environment
from tests.bench.cores import own_core
from tests.bench.usage import Tree

# A thread and a child that are there before anything is moved, as the SDK's and Postgres' are.
_PROGRAM: Final = """
import subprocess, sys, threading, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("ready", flush=True)
child.wait()
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) == 1, reason="no cores to choose from"
)


async def test_servers_share_no_core_with_the_others(tmp_path: Path) -> None:
    server, other = (_process(name, tmp_path) for name in ("server", "other"))
    cores = os.sched_getaffinity(0)
    try:
        await server.start()
        await other.start()
        with own_core([Tree(server)], [Tree(other)]):
            (own,) = {frozenset(one) for one in _affinities(server)}
            (left,) = {frozenset(one) for one in _affinities(other)}
            assert len(own) == 1
            assert left == cores - own
            assert os.sched_getaffinity(0) == left
        for process in (server, other):
            assert all(one == cores for one in _affinities(process))
        assert os.sched_getaffinity(0) == cores
    finally:
        await server.stop()
        await other.stop()


def _process(name: str, data: Path) -> Process:
    process: Process

    async def ready() -> bool:
        return "ready" in process.log.read_text()

    argv = (sys.executable, "-c", _PROGRAM)
    process = Process(Program(name=name, argv=argv, env=environment(), ready=ready), data)
    return process


def _affinities(process: Process) -> list[set[int]]:
    threads = [thread.id for one in Tree(process).processes() for thread in one.threads()]
    assert len(threads) >= 3
    return [os.sched_getaffinity(one) for one in threads]
