"""Write docs/cli.md from the commands of `orderfleet`, or check it (`--check`)."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from orderfleet_cli import main as entry
from orderfleet_cli.app import app

PAGE = Path(__file__).parent / "cli.md"
NAME = "orderfleet"


def page() -> str:
    """Return the whole page as Markdown."""
    group: Any = typer.main.get_command(app)
    context = group.context_class(group, info_name=NAME)
    commands = [group.get_command(context, name) for name in group.list_commands(context)]
    lines = ["# The command `orderfleet`", "", "<!-- made by `make docs` -->", "", group.help, ""]
    lines += ["| command | what it does |", "|---|---|"]
    lines += [f"| [`{one.name}`](#{one.name}) | {_first(one.help)} |" for one in commands]
    lines += ["", "Every command but `up`, `down` and `demo` takes `--json`."]
    lines += ["", *_exit_codes()]
    for one in commands:
        lines += _section(one, group.context_class(one, info_name=one.name, parent=context))
    return "\n".join(lines) + "\n"


def _exit_codes() -> Iterator[str]:
    yield "```text"
    text = (entry.__doc__ or "").split("Exit codes:")[1].strip("\n")
    yield from (line.removeprefix("    ") for line in text.splitlines() if line.startswith("    "))
    yield "```"


def _section(command: Any, context: Any) -> Iterator[str]:
    yield from ("", f"## {command.name}", "", command.help, "", "```console")
    yield from (line for line in command.epilog.splitlines() if line.startswith("$"))
    yield from ("```", "")
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    rows = [record for record in records if record and not record[0].startswith("--help")]
    if rows:
        yield from ("| argument or option | what |", "|---|---|")
        yield from (f"| `{name.replace('|', ' or ')}` | {what} |" for name, what in rows)


def _first(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def main() -> None:
    """Write, or with `--check` exit 1 if the page is out of date."""
    new = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != new:
            sys.exit("docs/cli.md is out of date: make docs")
        return
    PAGE.write_text(new)


if __name__ == "__main__":
    main()
