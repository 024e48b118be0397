"""CPU-seconds and memory of processes and their children."""

from collections.abc import Iterable, Mapping

import psutil

from orderfleet_cli.local.processes import Process


class Tree:
    """Processes and their children: also those that have ended, once they were waited for."""

    def __init__(self, *processes: Process) -> None:
        self._processes = processes

    def cpu(self) -> float:
        """Return the CPU-seconds used so far, of user and system."""
        total = 0.0
        for one in self.processes():
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                # It ended between the list and the look; its parent has its time soon.
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total

    def memory(self) -> int:
        """Return the bytes in memory; what processes share counts in equal parts."""
        total = 0
        for one in self.processes():
            try:
                total += one.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        return total

    def processes(self) -> Iterable[psutil.Process]:
        """Return those that run now."""
        for process in self._processes:
            # By its pid of now: it may have been started again.
            root = psutil.Process(process.pid)
            yield root
            yield from root.children(recursive=True)


def cpu(trees: Mapping[str, Tree]) -> dict[str, float]:
    """Return the CPU-seconds that each has used so far."""
    return {name: tree.cpu() for name, tree in trees.items()}


def memory(trees: Mapping[str, Tree]) -> dict[str, int]:
    """Return the bytes of each."""
    return {name: tree.memory() for name, tree in trees.items()}
