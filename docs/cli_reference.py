"""Write docs/cli.md, or check it (`--check`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from docs.generated import write_or_check
from orderfleet_cli import main as entry
from orderfleet_cli.app import app

PAGE = Path(__file__).parent / "cli.md"
NAME = "orderfleet"


def table() -> list[str]:
    """Return the table of commands, with links to their sections."""
    _, commands = _commands()
    rows = [
        f"| [`{name}`](#{name.replace(' ', '-')}) | {_first_paragraph(command.help)} |"
        for name, command, _ in commands
    ]
    return ["| command | what it does |", "|---|---|", *rows]


def page() -> str:
    """Return the whole page as Markdown."""
    group, commands = _commands()
    lines = ["# The command `orderfleet`", "", "<!-- made by `make docs` -->", "", group.help, ""]
    lines += table()
    lines += ["", "Every command but `up`, `down` and `demo` takes `--json`."]
    lines += ["", *_exit_codes()]
    for command in commands:
        lines += _section(*command)
    return "\n".join(lines) + "\n"


def _commands() -> tuple[Any, list[tuple[str, Any, Any]]]:
    group: Any = typer.main.get_command(app)
    return group, list(_of(group, group.context_class(group, info_name=NAME)))


def _of(group: Any, context: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the name, command and context of each command of a group, groups in it included."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = group.context_class(command, info_name=name, parent=context)
        yield prefix + name, command, inner
        if hasattr(command, "list_commands"):
            yield from _of(command, inner, f"{prefix}{name} ")


def _exit_codes() -> Iterator[str]:
    yield "```text"
    text = (entry.__doc__ or "").split("Exit codes:")[1].strip("\n")
    yield from (line.removeprefix("    ") for line in text.splitlines() if line.startswith("    "))
    yield "```"


def _section(name: str, command: Any, context: Any) -> Iterator[str]:
    yield from ("", f"## {name}", "", command.help, "", "```console")
    yield from (line for line in command.epilog.splitlines() if line.startswith("$"))
    yield "```"
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    rows = [record for record in records if record and not record[0].startswith("--help")]
    if rows:
        yield from ("", "| argument or option | description |", "|---|---|")
        yield from (f"| `{option.replace('|', ' or ')}` | {help_} |" for option, help_ in rows)


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


if __name__ == "__main__":
    write_or_check(PAGE, page())
