"""What tests saw, as a table at the end of the run."""

from collections.abc import Iterable

import pytest


def noted(terminalreporter: pytest.TerminalReporter, name: str) -> list[object]:
    """Return what all tests that ran keep among their properties under this name.

    A test's report has its properties, also from a process of pytest-xdist.
    """
    return [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for key, value in report.user_properties
        if key == name
    ]


def show(terminalreporter: pytest.TerminalReporter, title: str, lines: Iterable[str]) -> None:
    """Show a section; none without lines."""
    shown = list(lines)
    if shown:
        terminalreporter.section(title)
        for line in shown:
            terminalreporter.line(line)
