"""Frozen settings, read from the environment in `main()` and validated at start.

A settings class is a `msgspec.Struct` whose fields are made by `setting`; msgspec converts and
checks the values. A service's `main` calls `load_settings`, which prints a wrong value as one line
and exits with status 2.
"""

import argparse
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import (
    Annotated,
    Any,
    Final,
    NamedTuple,
    NoReturn,
    Self,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Meta, Struct

PREFIX: Final = "ORDERFLEET_"
MASK: Final = "***"

S = TypeVar("S", bound="Settings")

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0, le=3600)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Switch = bool
HTTPAddress = Annotated[str, Meta(pattern=r"^https?://[^\s/]\S*$(?!\n)")]
Protocol = Annotated[str, Meta(pattern=r"^(grpc|http/protobuf)$(?!\n)")]


class SettingsError(ValueError):
    """A setting is wrong; the message is one line and names the variable."""


class Env(NamedTuple):
    """How a field is read and documented."""

    doc: str
    names: tuple[str, ...] = ()
    unit: str = ""
    secret: bool = False


class Row(NamedTuple):
    """One setting as the documentation shows it."""

    names: tuple[str, ...]
    default: str
    unit: str
    doc: str


class Settings(Struct, frozen=True, kw_only=True):
    """Base of the settings classes: every field is `Annotated[type, Env(...)]` with a default."""

    @classmethod
    def rows(cls) -> Iterator[Row]:
        """Yield the settings in the order of their fields, for the table in the README."""
        defaults = {field.name: field.default for field in msgspec.structs.fields(cls)}
        for name, (_, env) in _fields(cls).items():
            shown = _shown(defaults[name], secret=False)
            yield Row(_names(name, env), shown, env.unit, env.doc)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings.

        Raises:
            SettingsError: a value is wrong, or two names of one setting disagree.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for field, (type_, env) in _fields(cls).items():
            names = _names(field, env)
            given = {name: environ[name] for name in names if environ.get(name)}
            if len(set(given.values())) > 1:
                raise SettingsError(f"{' and '.join(given)} are both set and differ: set one")
            for name, text in given.items():
                values[field] = _convert(name, text, type_, secret=env.secret)
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse values that do not go together; a subclass says which.

        Raises:
            SettingsError: they do not.
        """

    def shown(self) -> dict[str, str]:
        """Return variable names and values with the secrets masked."""
        return {
            _names(field, env)[0]: _shown(getattr(self, field), secret=env.secret)
            for field, (_, env) in _fields(type(self)).items()
        }


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit 2 with one line, as for a wrong setting; argparse would print its usage too."""
        self.exit(2, f"{self.prog}: {message}\n")


def load_settings(cls: type[S], program: str) -> S:
    """Read a service's settings; answer `--print-config`; exit 2 with one line if one is wrong."""
    return load_settings_and_names(cls, program, ())[0]


def load_settings_and_names(
    cls: type[S], program: str, names: Collection[str]
) -> tuple[S, tuple[str, ...]]:
    """Do as `load_settings`, and return too which of the names the program was called with.

    It takes no argument if there are no names, else one at least; a repeated name counts once.
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
        parser.error(f"wanted {' or '.join(names)}{got}")
    return settings, chosen


def _fields(cls: type[Settings]) -> dict[str, tuple[Any, Env]]:
    fields: dict[str, tuple[Any, Env]] = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if get_origin(hint) is Annotated:
            env = next((extra for extra in get_args(hint)[1:] if isinstance(extra, Env)), None)
            if env is not None:
                metas = [extra for extra in get_args(hint)[1:] if isinstance(extra, Meta)]
                base = get_args(hint)[0]
                fields[name] = (Annotated[base, metas[0]] if metas else base, env)
    return fields


def _names(field: str, env: Env) -> tuple[str, ...]:
    return env.names or (PREFIX + field.upper(),)


def _convert(name: str, text: str, type_: Any, *, secret: bool) -> Any:
    try:
        if get_origin(type_) is tuple:
            return msgspec.json.decode(text, type=type_)
        return msgspec.convert(text, type_, strict=False)
    except msgspec.MsgspecError as error:
        value = "" if secret else f" (got {text[:80]!r})"
        raise SettingsError(f"{name}: {error}{value}") from None


def _shown(value: object, *, secret: bool) -> str:
    if isinstance(value, tuple):
        return msgspec.json.encode(value).decode()
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not secret or not text:
        return text
    try:
        url = urlsplit(text)
    except ValueError:
        return MASK
    # Host and database help to find a mistake; user and password are nobody's business.
    user, _, hosts = url.netloc.rpartition("@")
    if not url.scheme or not hosts:
        return MASK
    return urlunsplit((url.scheme, f"{MASK}@{hosts}" if user else hosts, url.path, "", ""))


def is_http_url(url: str) -> bool:
    """Tell whether a text is the URL of an HTTP server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
