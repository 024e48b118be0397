"""Settings that several processes share; each service adds its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta

from orderfleet.addresses import check_database_url, check_temporal_address
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
    is_http_url,
)
from orderfleet.watched_files import explain

DATABASE_PASSWORD_FILE: Final = "DATABASE_PASSWORD_FILE"  # noqa: S105 (a variable's name)
TEMPORAL_API_KEY_FILE: Final = "TEMPORAL_API_KEY_FILE"
PAYLOAD_KEYS_FILE: Final = "ORDERFLEET_PAYLOAD_KEYS_FILE"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
# An order ends by its deadline; Temporal's stores learn that a moment later.
_PINNED_MARGIN: Final = 2.0
# No space at an end, which an env file or a YAML leaves unseen; Temporal takes 1,000 characters.
Name = Annotated[str, Meta(pattern=r"^\S(?:.{0,998}\S)?$(?!\n)")]


@contextmanager
def naming(variables: str) -> Iterator[None]:
    """Name the variables of a file that cannot be used, in one line.

    Raises:
        SettingsError: the block's, or one in place of the block's OSError or ValueError.
    """
    try:
        yield
    except SettingsError:
        raise
    except (OSError, ValueError) as error:
        raise SettingsError(f"{variables}: {explain(error)}") from None


class CommonSettings(Settings, frozen=True, kw_only=True):
    """Settings of every process."""

    database_url: Annotated[
        str,
        Env(
            "Postgres of the fleet; of several hosts (`one:5432,two:5432`) the first that takes "
            "writes. The suffix `+asyncpg` is accepted, and the password may be in PGPASSWORD "
            "instead.",
            ("DATABASE_URL",),
            "URL",
            secret=True,
        ),
    ] = "postgresql://orderfleet@127.0.0.1:5432/orderfleet"
    database_password_file: Annotated[
        str,
        Env(
            "File of the password of Postgres instead; each new connection takes what it holds "
            "then, so that the password can change while the process runs.",
            (DATABASE_PASSWORD_FILE,),
        ),
    ] = ""
    database_pool_size: Annotated[Count, Env("Maximum of connections to Postgres per process.")] = (
        10
    )
    temporal_address: Annotated[
        str,
        Env(
            "Temporal's frontend; TLS, API key and headers: the SDK's own TEMPORAL_* variables.",
            ("TEMPORAL_ADDRESS", "TEMPORAL_TARGET"),
            "host:port",
        ),
    ] = "127.0.0.1:7233"
    temporal_namespace: Annotated[Name, Env("Temporal's namespace.", ("TEMPORAL_NAMESPACE",))] = (
        "default"
    )
    temporal_api_key_file: Annotated[
        str,
        Env(
            "File of Temporal's API key, instead of TEMPORAL_API_KEY; read again when it changes, "
            "as are the files of TEMPORAL_TLS_*.",
            (TEMPORAL_API_KEY_FILE,),
        ),
    ] = ""
    payload_keys_file: Annotated[
        str,
        Env(
            "File of the keys that encrypt what Temporal stores of orders, read again when it "
            "changes; empty is off. `orderfleet payload-key new` makes one."
        ),
    ] = ""
    plain_payloads: Annotated[
        str,
        Meta(pattern=r"^(read|refuse)$(?!\n)"),
        Env("With payload keys: read or refuse payloads that other clients did not encrypt."),
    ] = "read"
    order_task_queue: Annotated[
        Name, Env("Task queue of the order worker.", ("ORDER_TASK_QUEUE",))
    ] = ORDER_TASK_QUEUE
    shipping_task_queue: Annotated[
        Name, Env("Task queue of the shipping worker.", ("SHIPPING_TASK_QUEUE",))
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
        str, Env("Address of the internal port; `::` is all addresses, IPv4 included.")
    ] = "127.0.0.1"
    probe_port: Annotated[
        Port, Env("The internal port: /livez, /readyz and /metrics.", unit="port")
    ] = 9090
    drain_seconds: Annotated[
        Seconds, Env("After SIGTERM: how long running work may continue.", unit="s")
    ] = 10.0
    start_wait_seconds: Annotated[
        Seconds, Env("How long a process waits at start for Temporal and Postgres.", unit="s")
    ] = 60.0

    def check(self) -> None:
        """Check the addresses, and that the two kinds of worker have different queues."""
        if self.order_task_queue == self.shipping_task_queue:
            raise SettingsError(
                "ORDER_TASK_QUEUE and SHIPPING_TASK_QUEUE are the same: the wrong worker would "
                "take half of the tasks"
            )
        with naming("DATABASE_URL"):
            check_database_url(self.database_url)
        with naming("TEMPORAL_ADDRESS"):
            check_temporal_address(self.temporal_address)
        if self.database_password_file and urlsplit(self.database_url).password:
            raise SettingsError(
                f"DATABASE_URL has a password, and {DATABASE_PASSWORD_FILE} is set: set one of them"
            )
        if self.plain_payloads == "refuse" and not self.payload_keys_file:
            raise SettingsError(f"ORDERFLEET_PLAIN_PAYLOADS=refuse needs {PAYLOAD_KEYS_FILE}")


class ServiceSettings(CommonSettings, frozen=True, kw_only=True):
    """The time of an order and OpenTelemetry's own variables, for the API and both workers."""

    order_deadline_seconds: Annotated[
        Annotated[float, Meta(ge=1, le=3600)],
        Env(
            "The time an order has, from acceptance to end. A versioned worker waits so long for "
            "the orders pinned to its build before it stops.",
            ("ORDER_DEADLINE_SECONDS",),
            "s",
        ),
    ] = 15.0
    otlp_endpoint: Annotated[
        HTTPAddress,
        Env(
            "OTLP collector of spans; empty is off. Other OTEL_* variables apply as usual.",
            (_OTLP + "ENDPOINT",),
            "URL",
            secret=True,
        ),
    ] = ""
    otlp_traces_endpoint: Annotated[
        HTTPAddress,
        Env(
            "The same, for spans only; over HTTP the complete URL.",
            (_OTLP + "TRACES_ENDPOINT",),
            "URL",
            secret=True,
        ),
    ] = ""
    otlp_protocol: Annotated[Protocol, Env("grpc or http/protobuf.", (_OTLP + "PROTOCOL",))] = (
        "grpc"
    )
    otlp_traces_protocol: Annotated[
        Protocol, Env("The same, for spans only.", (_OTLP + "TRACES_PROTOCOL",))
    ] = ""
    traces_exporter: Annotated[
        Annotated[str, Meta(pattern=r"^(otlp|none)$(?!\n)")],
        Env("otlp or none.", ("OTEL_TRACES_EXPORTER",)),
    ] = "otlp"
    otel_disabled: Annotated[bool, Env("Turn spans off.", ("OTEL_SDK_DISABLED",))] = False

    def check(self) -> None:
        """Check the URLs of the collector."""
        super().check()
        for name, url in (
            ("ENDPOINT", self.otlp_endpoint),
            ("TRACES_ENDPOINT", self.otlp_traces_endpoint),
        ):
            if url and not is_http_url(url):
                raise SettingsError(f"{_OTLP}{name}: expected http://host:port")

    @property
    def stop_seconds(self) -> float:
        """How long the service may go on after SIGTERM."""
        return self.drain_seconds

    @property
    def trace_protocol(self) -> str:
        """The protocol by which spans are exported; empty if they are not."""
        if self.otel_disabled or self.traces_exporter == "none":
            return ""
        endpoint = self.otlp_traces_endpoint or self.otlp_endpoint
        return (self.otlp_traces_protocol or self.otlp_protocol) if endpoint else ""


class WorkerSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of both workers."""

    activity_slots: Annotated[Count, Env("Activities that run concurrently.")] = 100
    # A single slot would go to the poller of the sticky queue, and no new order would begin.
    workflow_slots: Annotated[
        Annotated[int, Meta(ge=2, le=100_000)], Env("Workflow tasks that run concurrently.")
    ] = 100
    cached_workflows: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)],
        # A workflow takes 0.1 MiB. Workflows that the server timed out during an outage stay
        # until others need their place: this limits the memory that an outage costs.
        Env("Workflows cached in memory; keep it above the number of open orders."),
    ] = 500
    sandbox: Annotated[
        bool, Env("Run workflows in the SDK's sandbox; false saves about 15 ms of CPU per order.")
    ] = True
    versioning: Annotated[
        str,
        Meta(pattern=r"^(on|off)$(?!\n)"),
        Env(
            "on: an order ends on the build of the workers on which it began. Needs Temporal 1.29; "
            "with an older server, workers log a warning and go on without."
        ),
    ] = "on"
    version_promotion: Annotated[
        str,
        Meta(pattern=r"^(self|gate|none)$(?!\n)"),
        Env(
            "Who makes a build the current one, to which new orders go: the worker itself (self); "
            "the gate, and the worker is ready once its build is current (gate); or "
            "somebody else, and the worker is ready at once (none)."
        ),
    ] = "self"
    # Of what Temporal accepts, what needs no quoting in a query.
    deployment_name: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9/_-]*$(?!\n)"),
        Env(
            "The worker's deployment, as Temporal's Worker Controller sets it; used with "
            "ORDERFLEET_VERSION_PROMOTION=none. Empty: called like the task queue.",
            ("TEMPORAL_DEPLOYMENT_NAME",),
        ),
    ] = ""
    worker_build_id: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)"),
        Env(
            "The worker's build in that deployment; set both or neither. Empty: a hash of the "
            "worker's files.",
            ("TEMPORAL_WORKER_BUILD_ID",),
        ),
    ] = ""
    flaky: Annotated[
        str,
        Env(
            "Fault injection: a pattern of order ids (`*` is all) whose activities raise with "
            "probability 0.33 and hang with 0.34. Empty is off."
        ),
    ] = ""

    def check(self) -> None:
        """Check that a version from outside has both of its parts."""
        super().check()
        if bool(self.deployment_name) != bool(self.worker_build_id):
            raise SettingsError(
                "TEMPORAL_DEPLOYMENT_NAME and TEMPORAL_WORKER_BUILD_ID: set both or neither"
            )

    @property
    def pinned_seconds(self) -> float:
        """How long a worker may wait for the orders pinned to its build; 0 without versioning."""
        return self.order_deadline_seconds + _PINNED_MARGIN if self.versioning == "on" else 0.0

    @property
    def stop_seconds(self) -> float:
        """How long the worker may go on after SIGTERM."""
        return self.pinned_seconds + self.drain_seconds
