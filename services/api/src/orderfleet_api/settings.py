"""Settings of the API."""

from typing import Annotated

from msgspec import Meta

from orderfleet.environment import Count, Env, Port, Seconds, SettingsError
from orderfleet.settings import ServiceSettings
from orderfleet_api.auth import KEYS, KEYS_FILE, ApiKeys, Keys, is_loopback
from orderfleet_api.tenants import Rate, parse_rates


class ApiSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of the API, beside the common ones."""

    api_host: Annotated[str, Env("Address the API listens on; `::` is every one, of IPv4 too.")] = (
        "127.0.0.1"
    )
    api_port: Annotated[Port, Env("Port the API listens on.", unit="port")] = 8000
    api_connections: Annotated[
        Count,
        Env("Most connections; beyond, idle and slow ones are closed, then new ones are refused."),
    ] = 1000
    api_streams: Annotated[
        Count, Env("Most event streams among them; beyond, the answer is 503.")
    ] = 250
    api_keys: Annotated[
        str,
        Env(
            "API keys, `name:sha256[:roles],...`; several for rotation. Roles are place, change, "
            "read, review and operate, joined by `+`; a key that names none has all but operate. "
            "`orderfleet api-key NAME` makes one.",
            secret=True,
        ),
    ] = ""
    api_keys_file: Annotated[
        str,
        Env(
            "File of the API keys instead, a line each, read again when it changes: a new key is "
            "admitted and a removed one refused within 2 s."
        ),
    ] = ""
    api_open: Annotated[
        bool, Env("Require no key, also on addresses that other machines reach.")
    ] = False
    codec_origin: Annotated[
        str,
        Meta(pattern=r"^https?://(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(?::[0-9]{1,5})?$(?!\n)"),
        Env(
            "Origin of Temporal's UI, whose pages may use /codec to show encrypted payloads; "
            "empty is none.",
            unit="URL",
        ),
    ] = ""
    temporal_ui_url: Annotated[
        str,
        Meta(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$(?!\n)"),
        Env(
            "Address of Temporal's UI, as people's browsers reach it, for links to an order's "
            "workflow; empty is no link.",
            unit="URL",
        ),
    ] = ""
    trace_url: Annotated[
        str,
        Meta(pattern=r"^https?://[^\s/]\S*\{trace_id\}\S*$(?!\n)"),
        Env(
            "Address of a trace, as people's browsers reach it, with `{trace_id}` in place of its "
            "id, for links to an order's trace; empty is no link.",
            unit="URL",
        ),
    ] = ""
    admission: Annotated[
        str,
        Meta(pattern=r"^(on|off)$(?!\n)"),
        Env("`on` refuses an order that cannot end in time; `off` accepts every order."),
    ] = "on"
    tenant_rates: Annotated[
        str,
        Env(
            "Orders a second that the owner of an API key may place at this process, "
            "`name:rate[:burst],...`; empty is no rate."
        ),
    ] = ""
    review_seconds: Annotated[
        Seconds,
        Env("How long a person may decide before the review goes on.", ("REVIEW_SECONDS",), "s"),
    ] = 2.0
    change_wait_seconds: Annotated[
        Seconds,
        Env("How long a change waits for a worker before it is queued as a signal.", unit="s"),
    ] = 2.0
    query_wait_seconds: Annotated[
        Seconds, Env("How long a status waits for a worker before the record answers.", unit="s")
    ] = 1.0
    temporal_wait_seconds: Annotated[
        Annotated[float, Meta(ge=0.1, le=3600)],
        Env("How long any other Temporal call may take; then the answer is 503.", unit="s"),
    ] = 3.0
    exporter_seconds: Annotated[
        Annotated[float, Meta(ge=1, le=60)],
        Env("How often Postgres and Temporal are polled for the fleet's metrics.", unit="s"),
    ] = 3.0

    @property
    def keys(self) -> Keys:
        """The API keys at this moment; if there are none, no key is required."""
        return self.load_keys().current()

    def load_keys(self) -> ApiKeys:
        """Return the API keys, which follow their file if they come from one."""
        return ApiKeys(self.api_keys, self.api_keys_file)

    @property
    def admission_on(self) -> bool:
        """Whether an order that cannot end in time is refused."""
        return self.admission == "on"

    @property
    def rates(self) -> dict[str, Rate]:
        """The rates of tenants, by the name of their API key."""
        # A key of a file may come and go.
        return parse_rates(self.tenant_rates, None if self.api_keys_file else self.keys)

    def check(self) -> None:
        """Refuse to serve other machines without keys, and times that contradict each other."""
        super().check()
        if self.api_keys and self.api_keys_file:
            raise SettingsError(f"{KEYS} and {KEYS_FILE} are both set: set one of them")
        _ = self.rates
        if self.api_streams >= self.api_connections:
            raise SettingsError(
                "ORDERFLEET_API_STREAMS: must be less than ORDERFLEET_API_CONNECTIONS"
            )
        if self.keys and self.api_open:
            raise SettingsError(
                f"ORDERFLEET_API_OPEN=true and {KEYS_FILE if self.api_keys_file else KEYS}"
                " are both set: set one of them"
            )
        if not self.keys and not self.api_open and not is_loopback(self.api_host):
            raise SettingsError(
                f"ORDERFLEET_API_KEYS: needed on {self.api_host}"
                " (or ORDERFLEET_API_OPEN=true to require no key)"
            )
        if self.api_port == self.probe_port:
            raise SettingsError("ORDERFLEET_API_PORT and ORDERFLEET_PROBE_PORT are the same")
        if self.review_seconds >= self.order_deadline_seconds:
            raise SettingsError("REVIEW_SECONDS: must be less than ORDER_DEADLINE_SECONDS")
        waits = {
            "ORDERFLEET_CHANGE_WAIT_SECONDS": self.change_wait_seconds,
            "ORDERFLEET_QUERY_WAIT_SECONDS": self.query_wait_seconds,
            "ORDERFLEET_TEMPORAL_WAIT_SECONDS": self.temporal_wait_seconds,
        }
        for name, seconds in waits.items():
            if seconds > self.drain_seconds:
                raise SettingsError(f"{name}: must be at most ORDERFLEET_DRAIN_SECONDS")
        if max(self.change_wait_seconds, self.query_wait_seconds) > self.order_deadline_seconds:
            raise SettingsError(
                "ORDERFLEET_CHANGE_WAIT_SECONDS and ORDERFLEET_QUERY_WAIT_SECONDS:"
                " must be at most ORDER_DEADLINE_SECONDS"
            )
