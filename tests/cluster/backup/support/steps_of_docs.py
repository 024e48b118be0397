"""The commands of docs/backup.md's restore, as a person reads them."""

import re
from collections.abc import Mapping
from typing import Final

from tests.cluster.support.cluster import Namespace
from tests.cluster.support.commands import run
from tests.cluster.support.release import NAME
from tests.images.services import ROOT

_SECONDS: Final = 400.0
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")


def commands_of_steps() -> Mapping[int, list[str]]:
    """Return the commands of kubectl by the number of the step."""
    text = (ROOT / "docs/backup.md").read_text()
    section = text.split("\n## A restore, step by step\n")[1].split("\n## ")[0]
    steps = re.split(r"^(\d)\. ", section, flags=re.MULTILINE)
    found: dict[int, list[str]] = {}
    for number, step in zip(steps[1::2], steps[2::2], strict=True):
        blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", step, re.DOTALL | re.MULTILINE)
        whole = "".join(blocks).replace("\\\n", " ")
        lines = [" ".join(line.split()) for line in whole.splitlines()]
        found[int(number)] = [line for line in lines if line.startswith("kubectl -n ")]
    return found


def follow(namespace: Namespace, number: int, *, backup: str = "", job: str = "") -> str:
    """Run the commands of a step; return what they say.

    Args:
        namespace: the release's.
        number: the step's.
        backup: the name that a person writes in place of the example's.
        job: the name in place of that of the first restore.
    """
    said = ""
    for command in commands_of_steps()[number]:
        text = command.replace("NAMESPACE", namespace.name).replace("RELEASE", NAME)
        text = _DATE.sub(backup, text)
        text = text.replace("restore-1", job)
        # Without KEDA there is no scaler to pause.
        if "scaledobject" in text:
            continue
        said += run("bash", "-euc", text, seconds=_SECONDS, env=namespace.cluster.env)
    return said
