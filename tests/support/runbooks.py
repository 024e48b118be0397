"""The commands of docs/runbooks, as a person on call reads them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

RUNBOOKS: Final = Path(__file__).parents[2] / "docs" / "runbooks"
# The reader fills these in.
_PLACEHOLDER: Final = re.compile(
    r"\b(API_URL|BUILD|CHART|DEPLOYMENT|ID|JOB|N|NAMESPACE|ORDER|ORDER_TASK_QUEUE|ORDER_WORKER|POD"
    r"|PROMETHEUS_URL|RELEASE|SECRET)\b"
)
_PROGRAMS: Final = ("curl", "helm", "kubectl", "make", "orderfleet", "promtool", "temporal")
_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE: Final = re.compile(r"`([^`]+)`")
_LOG: Final = re.compile(r"kubectl -n NAMESPACE logs -l app\.kubernetes\.io/component=\S+ --tail")


class Place(StrEnum):
    """Where the tests run a command."""

    FLEET = "a fleet on this machine with the fault"
    LOG = "the log of that fleet, and a cluster"
    CLUSTER = "a cluster"
    PROMETHEUS = "a Prometheus"


@dataclass(frozen=True)
class Command:
    """One command, with its placeholders."""

    runbook: str
    text: str

    @property
    def place(self) -> Place:
        """Where the tests run it."""
        if _LOG.match(self.text):
            return Place.LOG
        if self.text.startswith(("kubectl ", "helm ", "orderfleet doctor --kubernetes")):
            return Place.CLUSTER
        if self.text.startswith("promtool "):
            return Place.PROMETHEUS
        return Place.FLEET

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the command with a value in place of every placeholder."""
        return _PLACEHOLDER.sub(lambda name: values[name[0]], self.text)

    def __str__(self) -> str:
        return f"{self.runbook}: {self.text}"


def commands(*places: Place) -> list[Command]:
    """Return the commands of all runbooks, or those that run in these places."""
    everything = [
        Command(path.stem, text)
        for path in sorted(RUNBOOKS.glob("*.md"))
        for text in _commands(path.read_text())
    ]
    return [command for command in everything if not places or command.place in places]


def _commands(document: str) -> list[str]:
    texts = []
    for block in _BLOCK.findall(document):
        open_lines = ""
        for line in block.splitlines():
            open_lines += re.sub(r"\s+#\s.*", "", line)
            # An open quote continues on the next line.
            if open_lines.count("'") % 2 == 0:
                texts.append(open_lines)
                open_lines = ""
            else:
                open_lines += "\n"
    for text in _INLINE.findall(_BLOCK.sub("", document)):
        program, _, arguments = " ".join(text.split()).partition(" ")
        if program in _PROGRAMS and arguments:
            texts.append(f"{program} {arguments}")
    return list(dict.fromkeys(texts))
