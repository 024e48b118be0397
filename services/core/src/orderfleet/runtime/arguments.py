"""The command line of a service: `--print-config`, and for some commands names."""

import argparse
import sys
from collections.abc import Collection
from typing import NoReturn, TypeVar

from orderfleet.environment import Settings, SettingsError

S = TypeVar("S", bound=Settings)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit 2 with one line, as for a wrong setting; argparse would print its usage too."""
        self.exit(2, f"{self.prog}: {message}\n")


def load_settings(cls: type[S], program: str) -> S:
    """Return a service's settings, or exit: 0 after `--print-config`, 2 if a setting is wrong."""
    return load_settings_and_names(cls, program, ())[0]


def load_settings_and_names(
    cls: type[S], program: str, names: Collection[str]
) -> tuple[S, tuple[str, ...]]:
    """Like `load_settings`, but the program takes arguments: at least one of these names.

    Without names it takes no argument. A repeated name counts once.
    """
    parser = _Parser(prog=program, description="Configured by the environment.")
    parser.add_argument(
        "--print-config", action="store_true", help="print the settings, secrets masked, and exit"
    )
    if names:
        parser.add_argument("name", nargs="*", help=" or ".join(names))
    arguments = parser.parse_args()
    chosen = tuple(dict.fromkeys(arguments.name if names else ()))
    try:
        settings = cls.from_env()
    except SettingsError as error:
        print(f"{program}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if arguments.print_config:
        for name, value in settings.shown().items():
            print(f"{name}={value}")
        raise SystemExit(0)
    # Not argparse's `choices`: `--print-config` needs no name.
    unknown = next((name for name in chosen if name not in names), None)
    if unknown is not None or (names and not chosen):
        got = "" if unknown is None else f" (got {unknown!r})"
        parser.error(f"expected {' or '.join(names)}{got}")
    return settings, chosen
