"""The metrics that a fleet's processes expose and that `docs/metrics.md` documents."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from orderfleet_cli.local import Fleet

_DOCS: Final = Path(__file__).parents[3] / "docs" / "metrics.md"
_ROW: Final = re.compile(r"\| `(orderfleet_\w+)` \| (\w+) \| (.*?) ?\| (\w*) ?\| (.+) \|")


class Row(NamedTuple):
    """A row of a table in the documentation."""

    kind: str
    labels: frozenset[str]
    meaning: str


@dataclass(frozen=True)
class Scrape:
    """A process's answer to one scrape."""

    content_type: str
    text: str

    @cached_property
    def families(self) -> list[Metric]:
        return list(text_string_to_metric_families(self.text))

    def values(self, name: str, **labels: str) -> Iterator[float]:
        """Yield the values of the samples whose labels include these."""
        for family in self.families:
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    yield sample.value

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels; fail if there is none."""
        found = list(self.values(name, **labels))
        assert found, f"no {name} with {labels}"
        return sum(found)

    def own(self) -> dict[str, Row]:
        """Return the fleet's own metrics as rows of the documentation."""
        return {
            # The parser strips a counter's suffix.
            family.name + "_total" * (family.type == "counter"): Row(
                family.type,
                frozenset(label for sample in family.samples for label in sample.labels) - {"le"},
                family.documentation,
            )
            for family in self.families
            if family.name.startswith("orderfleet_")
        }


async def scrape(fleet: Fleet, process: str) -> Scrape:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{fleet.probe_urls[process]}/metrics")
    assert answer.status_code == httpx.codes.OK
    return Scrape(answer.headers["content-type"], answer.text)


def documented() -> dict[str, dict[str, Row]]:
    """Return the tables of the documentation, by heading."""
    sections = re.split(r"^## (.+)\n", _DOCS.read_text(), flags=re.MULTILINE)[1:]
    found: dict[str, dict[str, Row]] = {}
    for heading, text in zip(sections[::2], sections[1::2], strict=True):
        for name, kind, labels, unit, meaning in _ROW.findall(text):
            assert (unit == "s") == name.endswith("_seconds"), name
            row = Row(kind, frozenset(re.findall(r"`(\w+)`", labels)), meaning)
            found.setdefault(heading, {})[name] = row
    return found
