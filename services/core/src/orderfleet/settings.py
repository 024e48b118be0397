"""Frozen settings, read from the environment in `main()` and validated at start.

A settings class is a `msgspec.Struct` whose fields are made by `setting`; msgspec converts and
checks the values. A service's `main` calls `start`, which prints a wrong value as one line and
exits with status 2.
"""

import argparse
import os
import re
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

from orderfleet.messages import ORDER_TASK_QUEUE, SHIPPING_TASK_QUEUE

PREFIX: Final = "ORDERFLEET_"
MASK: Final = "***"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
# One of the hosts of a database URL, with its port; a bracketed one is an IPv6 address.
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(:[0-9]{1,5})?")

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


def start(cls: type[S], program: str) -> S:
    """Read a service's settings; answer `--print-config`; exit 2 with one line if one is wrong."""
    return start_with_names(cls, program, ())[0]


def start_with_names(
    cls: type[S], program: str, names: Collection[str]
) -> tuple[S, tuple[str, ...]]:
    """Do as `start`, and return too which of the names the program was called with.

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


def is_server(url: str) -> bool:
    """Tell whether a text is the URL of an HTTP server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_postgres(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    hosts = url.netloc.rpartition("@")[2].split(",")
    return (
        url.scheme in {"postgresql", "postgres", "postgresql+asyncpg"}
        and len(url.path) > 1
        and all(map(_HOST.fullmatch, hosts))
    )


class CommonSettings(Settings, frozen=True, kw_only=True):
    """What every process of the fleet reads."""

    database_url: Annotated[
        str,
        Env(
            "Postgres of the fleet; the suffix `+asyncpg` is accepted, and the password may be in "
            "PGPASSWORD instead.",
            ("DATABASE_URL",),
            "URL",
            secret=True,
        ),
    ] = "postgresql://orderfleet@127.0.0.1:5432/orderfleet"
    database_pool_size: Annotated[Count, Env("Most connections to Postgres of one process.")] = 10
    temporal_address: Annotated[
        str,
        Env(
            "Temporal's frontend; TLS, API key and headers come by the SDK's own TEMPORAL_* names.",
            ("TEMPORAL_ADDRESS", "TEMPORAL_TARGET"),
            "host:port",
        ),
    ] = "127.0.0.1:7233"
    temporal_namespace: Annotated[str, Env("Temporal's namespace.", ("TEMPORAL_NAMESPACE",))] = (
        "default"
    )
    order_task_queue: Annotated[
        str, Env("Task queue of the order worker.", ("ORDER_TASK_QUEUE",))
    ] = ORDER_TASK_QUEUE
    shipping_task_queue: Annotated[
        str, Env("Task queue of the shipping worker.", ("SHIPPING_TASK_QUEUE",))
    ] = SHIPPING_TASK_QUEUE
    log_level: Annotated[
        str,
        Meta(pattern=r"^(?i:debug|info|warning|error)$(?!\n)"),
        Env("debug, info, warning or error.", ("LOG_LEVEL",)),
    ] = "info"
    log_format: Annotated[
        str,
        Meta(pattern=r"^(auto|json|console)$(?!\n)"),
        Env("json, console, or auto: console on a terminal, json elsewhere."),
    ] = "auto"
    probe_host: Annotated[
        str, Env("Address of the internal port; `::` is every one, of IPv4 too.")
    ] = "127.0.0.1"
    probe_port: Annotated[
        Port, Env("The internal port: /livez, /readyz and /metrics.", unit="port")
    ] = 9090
    drain_seconds: Annotated[
        Seconds, Env("After SIGTERM: how long what runs may go on.", unit="s")
    ] = 10.0
    start_wait_seconds: Annotated[
        Seconds, Env("How long a process waits at start for Temporal and Postgres.", unit="s")
    ] = 60.0

    def check(self) -> None:
        """Refuse what is not a Postgres URL, and one queue for what two kinds of worker take."""
        if self.order_task_queue == self.shipping_task_queue:
            raise SettingsError(
                "ORDER_TASK_QUEUE and SHIPPING_TASK_QUEUE are the same: the wrong worker would "
                "take half of the tasks"
            )
        if not _is_postgres(self.database_url):
            raise SettingsError(
                "DATABASE_URL: wanted postgresql://user:password@host:port/database"
            )


class ServiceSettings(CommonSettings, frozen=True, kw_only=True):
    """What the API and both workers read of OpenTelemetry's own variables: where spans go."""

    otlp_endpoint: Annotated[
        HTTPAddress,
        Env(
            "Collector of spans by OTLP; empty is off. Other OTEL_* variables apply as usual.",
            (_OTLP + "ENDPOINT",),
            "URL",
            secret=True,
        ),
    ] = ""
    otlp_traces_endpoint: Annotated[
        HTTPAddress,
        Env(
            "The same, for spans alone; over HTTP it is the whole URL.",
            (_OTLP + "TRACES_ENDPOINT",),
            "URL",
            secret=True,
        ),
    ] = ""
    otlp_protocol: Annotated[Protocol, Env("grpc or http/protobuf.", (_OTLP + "PROTOCOL",))] = (
        "grpc"
    )
    otlp_traces_protocol: Annotated[
        Protocol, Env("The same, for spans alone.", (_OTLP + "TRACES_PROTOCOL",))
    ] = ""
    traces_exporter: Annotated[
        Annotated[str, Meta(pattern=r"^(otlp|none)$(?!\n)")],
        Env("otlp or none.", ("OTEL_TRACES_EXPORTER",)),
    ] = "otlp"
    otel_disabled: Annotated[Switch, Env("Turn spans off.", ("OTEL_SDK_DISABLED",))] = False

    @property
    def spans_by(self) -> str:
        """The protocol by which spans leave; empty if none do."""
        if self.otel_disabled or self.traces_exporter == "none":
            return ""
        wanted = self.otlp_endpoint or self.otlp_traces_endpoint
        return (self.otlp_traces_protocol or self.otlp_protocol) if wanted else ""


class WorkerSettings(ServiceSettings, frozen=True, kw_only=True):
    """What both workers read."""

    activity_slots: Annotated[Count, Env("Activities that run at once.")] = 100
    # One would go to the pollers of the sticky queue, and no new order would ever begin.
    workflow_slots: Annotated[
        Annotated[int, Meta(ge=2, le=100_000)], Env("Workflow tasks that run at once.")
    ] = 100
    cached_workflows: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)],
        # One takes 0.1 MiB. Those that the server closed by itself, at a deadline that passed in
        # an outage, stay until others need their place: this bounds what an outage costs.
        Env("Workflows kept in memory; keep it above the orders open at once."),
    ] = 500
    sandbox: Annotated[
        Switch, Env("Run workflows in the SDK's sandbox; false saves some 15 ms CPU an order.")
    ] = True
    flaky: Annotated[
        str,
        Env(
            "Fault injection: a pattern of order ids (`*` is all) whose activities raise with "
            "probability 0.33 and hang with 0.34. Empty is off."
        ),
    ] = ""
