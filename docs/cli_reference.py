"""Write docs/cli.md and the README's table of commands, or check both (`--check`)."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from orderfleet_cli import main as entry
from orderfleet_cli.app import app

PAGE = Path(__file__).parent / "cli.md"
README = Path(__file__).parent.parent / "README.md"
PLACE = re.compile(r"(<!-- commands: .*? -->\n).*?(<!-- /commands -->)", re.DOTALL)
NAME = "orderfleet"


def table(link: str) -> list[str]:
    """Return the table of commands; `link` is the page that describes them."""
    rows = [f"| [`{one.name}`]({link}#{one.name}) | {_first(one.help)} |" for one in _commands()[2]]
    return ["| command | what it does |", "|---|---|", *rows]


def page() -> str:
    """Return the whole page as Markdown."""
    group, context, commands = _commands()
    lines = ["# The command `orderfleet`", "", "<!-- made by `make docs` -->", "", group.help, ""]
    lines += table("")
    lines += ["", "Every command but `up`, `down` and `demo` takes `--json`."]
    lines += ["", *_exit_codes()]
    for one in commands:
        lines += _section(one, group.context_class(one, info_name=one.name, parent=context))
    return "\n".join(lines) + "\n"


def _commands() -> tuple[Any, Any, list[Any]]:
    group: Any = typer.main.get_command(app)
    context = group.context_class(group, info_name=NAME)
    return (
        group,
        context,
        [group.get_command(context, name) for name in group.list_commands(context)],
    )


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
    """Write, or with `--check` exit 1 if one of them is out of date."""
    old = README.read_text()
    rows = "\n".join(table("docs/cli.md"))
    made = {PAGE: page(), README: PLACE.sub(lambda found: f"{found[1]}\n{rows}\n\n{found[2]}", old)}
    for path, text in made.items():
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path.name} is out of date: make docs")


if __name__ == "__main__":
    main()
