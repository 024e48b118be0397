"""Shows what each failover cost."""

from typing import cast

import pytest

from tests.failover.support.report import PROPERTY
from tests.support.summaries import noted, show


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = cast("list[str]", noted(terminalreporter, PROPERTY))
    show(terminalreporter, "failovers, for docs/postgres.md", lines)
