"""Which cores the processes of a measurement run on, and which of them come first."""

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from tests.bench.usage import Tree

_FIRST: Final = -10


@contextmanager
def own_core(servers: Collection[Tree], others: Collection[Tree]) -> Iterator[None]:
    """Give the servers the first core, this process and all others the rest, while the block runs.

    Two servers are to be asked by turns. Where there is one core, or no way to choose, all is as
    it was.
    """
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    first, rest = cores[:1], cores[1:]
    if not rest:
        yield
        return
    try:
        _run_on(first, servers)
        _run_on(rest, others, psutil.Process())
        yield
    finally:
        _run_on(cores, [*servers, *others], psutil.Process())


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let this process come before all others while the block runs, as callers have other machines.

    Otherwise it sends and reads up to 30 ms late (p99) on full cores. What it starts meanwhile
    comes first, too. Where the user may not, all is as it was.
    """
    process = psutil.Process()
    before = process.nice()
    _come(process, _FIRST)
    try:
        yield
    finally:
        _come(process, before)


def _come(process: psutil.Process, nice: int) -> None:
    with suppress(psutil.AccessDenied):
        process.nice(nice)
    # Linux divides the cores among sessions first, and every server of a fleet has its own: a
    # process' nice counts within its session only (sched(7), "The autogroup feature").
    with suppress(OSError):
        Path(f"/proc/{process.pid}/autogroup").write_text(str(nice))


def _run_on(cores: Collection[int], trees: Iterable[Tree], *processes: psutil.Process) -> None:
    """Move all threads; what they start from then on goes with them."""
    for process in (*processes, *(one for tree in trees for one in tree.processes())):
        # It ended meanwhile.
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, cores)
