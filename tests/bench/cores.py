"""Which cores the processes of a measurement run on."""

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.bench.usage import Tree


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


def _run_on(cores: Collection[int], trees: Iterable[Tree], *processes: psutil.Process) -> None:
    """Move all threads; what they start from then on goes with them."""
    for process in (*processes, *(one for tree in trees for one in tree.processes())):
        # It ended meanwhile.
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, cores)
