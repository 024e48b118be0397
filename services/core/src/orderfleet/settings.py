"""What the processes of the fleet read from their environment, beside what is a service's own."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta

from orderfleet.domain.contract import ORDER_TASK_QUEUE, SHIPPING_TASK_QUEUE
from orderfleet.environment import (
    Count,
    Env,
    HTTPAddress,
    Port,
    Protocol,
    Seconds,
    Settings,
    SettingsError,
    Switch,
)

_OTLP: Final = "OTEL_EXPORTER_OTLP_"
# One of the hosts of a database URL, with its port; a bracketed one is an IPv6 address.
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(:[0-9]{1,5})?")


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
    def trace_protocol(self) -> str:
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
