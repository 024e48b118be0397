"""The commands of docs/runbooks, as a person on call finds them there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

RUNBOOKS: Final = Path(__file__).parents[2] / "docs" / "runbooks"
# What the reader fills in.
_PLACEHOLDER: Final = re.compile(
    r"\b(API_URL|CHART|DEPLOYMENT|ID|JOB|N|NAMESPACE|ORDER|ORDER_TASK_QUEUE|ORDER_WORKER|POD"
    r"|PROMETHEUS_URL|RELEASE)\b"
)
_PROGRAMS: Final = ("curl", "helm", "kubectl", "make", "orderfleet", "promtool", "temporal")
_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE: Final = re.compile(r"`([^`]+)`")
_LOG: Final = re.compile(r"kubectl -n NAMESPACE logs -l app\.kubernetes\.io/component=\S+ --tail")


class Place(StrEnum):
    """Where the tests run a command."""

    FLEET = "a fleet on this machine, that has the fault"
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
        """Where it is run."""
        if _LOG.match(self.text):
            return Place.LOG
        if self.text.startswith(("kubectl ", "helm ", "orderfleet doctor --kubernetes")):
            return Place.CLUSTER
        if self.text.startswith("promtool "):
            return Place.PROMETHEUS
        return Place.FLEET

    def filled(self, values: Mapping[str, str]) -> str:
        """Return it with the values in place of the placeholders; each has to have one."""
        return _PLACEHOLDER.sub(lambda found: values[found[0]], self.text)

    def __str__(self) -> str:
        return f"{self.runbook}: {self.text}"


def commands(*places: Place) -> list[Command]:
    """Return the commands of all runbooks that are run in these places, or all."""
    found = [
        Command(path.stem, text)
        for path in sorted(RUNBOOKS.glob("*.md"))
        for text in _commands(path.read_text())
    ]
    return [one for one in found if not places or one.place in places]


def _commands(document: str) -> list[str]:
    found = []
    for block in _BLOCK.findall(document):
        open_lines = ""
        for line in block.splitlines():
            open_lines += re.sub(r"\s+#\s.*", "", line)
            # A quote that is open goes on in the next line.
            if open_lines.count("'") % 2 == 0:
                found.append(open_lines)
                open_lines = ""
            else:
                open_lines += "\n"
    for text in _INLINE.findall(_BLOCK.sub("", document)):
        program, _, arguments = " ".join(text.split()).partition(" ")
        if program in _PROGRAMS and arguments:
            found.append(f"{program} {arguments}")
    return list(dict.fromkeys(found))
