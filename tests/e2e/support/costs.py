"""What a kill costs an order, in seconds: a table at the end of the run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import pytest

from tests.support.summaries import noted

_PROPERTY: Final = "cost"


@dataclass(frozen=True)
class Costs:
    """Keeps a test's rows among its properties, which its report has too."""

    properties: list[tuple[str, object]]

    def add(self, what: str, undisturbed: float, disturbed: float) -> None:
        """Add a disturbed order, beside the seconds of an undisturbed one of its kind."""
        self.properties.append((_PROPERTY, (what, undisturbed, disturbed)))


def table(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    """Yield the rows of all tests that ran."""
    rows = cast("list[tuple[str, float, float]]", noted(terminalreporter, _PROPERTY))
    if rows:
        yield f"{'':<52} {'alone':>6} {'killed':>6} {'cost':>6}"
    for what, undisturbed, disturbed in rows:
        cost = disturbed - undisturbed
        yield f"{what:<52} {undisturbed:>5.1f}s {disturbed:>5.1f}s {cost:>5.1f}s"
