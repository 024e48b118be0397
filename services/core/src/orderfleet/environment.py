"""Frozen settings that are read from environment variables and validated.

A settings class is a `msgspec.Struct` whose fields are annotated with `Env`; msgspec converts and
validates the values.
"""

import os
from collections.abc import Iterator, Mapping
from typing import (
    Annotated,
    Any,
    Final,
    NamedTuple,
    Self,
    get_args,
    get_origin,
    get_type_hints,
)
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Meta, Struct

PREFIX: Final = "ORDERFLEET_"
MASK: Final = "***"

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0, le=3600)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
HTTPAddress = Annotated[str, Meta(pattern=r"^https?://[^\s/]\S*$(?!\n)")]
Protocol = Annotated[str, Meta(pattern=r"^(grpc|http/protobuf)$(?!\n)")]


class SettingsError(ValueError):
    """A setting is wrong; the message is one line with the name of the variable."""


class Env(NamedTuple):
    """How a field is read and documented."""

    doc: str
    names: tuple[str, ...] = ()
    unit: str = ""
    secret: bool = False


class Row(NamedTuple):
    """One setting in the documentation."""

    names: tuple[str, ...]
    default: str
    unit: str
    doc: str


class Settings(Struct, frozen=True, kw_only=True):
    """Base of the settings classes: every field is `Annotated[type, Env(...)]` with a default."""

    @classmethod
    def rows(cls) -> Iterator[Row]:
        """Yield the settings in the order of their fields, for the tables of docs/settings.md."""
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
            texts = {name: environ[name] for name in names if environ.get(name)}
            if len(set(texts.values())) > 1:
                raise SettingsError(f"{' and '.join(texts)} are both set and differ: set one")
            for name, text in texts.items():
                values[field] = _convert(name, text, type_, secret=env.secret)
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Check values that depend on each other; for subclasses.

        Raises:
            SettingsError: they contradict each other.
        """

    def shown(self) -> dict[str, str]:
        """Return the variables' names and values, with secrets masked."""
        return {
            _names(field, env)[0]: _shown(getattr(self, field), secret=env.secret)
            for field, (_, env) in _fields(type(self)).items()
        }


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
    # Host and database help to find a mistake; user, password and query may be secret.
    user, _, hosts = url.netloc.rpartition("@")
    if not url.scheme or not hosts:
        return MASK
    return urlunsplit((url.scheme, f"{MASK}@{hosts}" if user else hosts, url.path, "", ""))


def is_http_url(url: str) -> bool:
    """Whether a text is the URL of an HTTP server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
