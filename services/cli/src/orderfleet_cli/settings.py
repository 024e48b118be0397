"""Settings of the command line."""

import os
from typing import Annotated, Final, TypeVar

from orderfleet.addresses import check_database_url
from orderfleet.environment import Env, Settings, SettingsError, is_http_url
from orderfleet.settings import naming
from orderfleet_cli.errors import UsageError

_FAULTS: Final = ("ORDERFLEET_FLAKY", "ORDERFLEET_GATEWAY_FAULTS")

S = TypeVar("S", bound=Settings)


class ClientSettings(Settings, frozen=True, kw_only=True):
    """Settings of the commands that call the API."""

    url: Annotated[str, Env("Address of the API.", unit="URL", secret=True)] = (
        "http://127.0.0.1:8000"
    )
    api_key: Annotated[
        str,
        Env("Key for the API, sent as `Authorization: Bearer`.", secret=True),
    ] = ""
    api_internal_url: Annotated[
        str,
        Env("The API's internal port, where `doctor` reads metrics; empty is unknown.", unit="URL"),
    ] = ""

    def check(self) -> None:
        """Refuse a URL that is not a server's, and a key that no header can carry."""
        if not is_http_url(self.url):
            # Even an invalid URL may contain a password.
            shown = "" if "@" in self.url else f" (got {self.url[:80]!r})"
            raise SettingsError(f"ORDERFLEET_URL: expected http://host:port{shown}")
        if self.api_internal_url and not is_http_url(self.api_internal_url):
            raise SettingsError("ORDERFLEET_API_INTERNAL_URL: expected http://host:port")
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise SettingsError("ORDERFLEET_API_KEY: expected printable ASCII characters")


class BackupSettings(Settings, frozen=True, kw_only=True):
    """Settings of `backup` and `restore`: Temporal's databases, where they are ours."""

    temporal_database_url: Annotated[
        str,
        Env(
            "Temporal's own database, to back up and restore; empty is none.",
            unit="URL",
            secret=True,
        ),
    ] = ""
    visibility_database_url: Annotated[
        str,
        Env(
            "Temporal's database of visibility, likewise; set both or neither.",
            unit="URL",
            secret=True,
        ),
    ] = ""
    temporal_database_password_file: Annotated[
        str, Env("File of the password of both, instead of one in their URLs.")
    ] = ""

    def check(self) -> None:
        """Check both URLs."""
        urls = {
            "ORDERFLEET_TEMPORAL_DATABASE_URL": self.temporal_database_url,
            "ORDERFLEET_VISIBILITY_DATABASE_URL": self.visibility_database_url,
        }
        for name, url in urls.items():
            if not url:
                continue
            with naming(name):
                check_database_url(url)
        if len({bool(url) for url in urls.values()}) > 1:
            raise SettingsError(f"{' and '.join(urls)}: set both or neither")


def read(cls: type[S]) -> S:
    """Read settings from the environment.

    Raises:
        UsageError: a setting is wrong.
    """
    try:
        return cls.from_env()
    # SettingsError is a ValueError, as is Python's error for a malformed URL.
    except ValueError as error:
        raise UsageError(str(error)) from None


def injected_faults() -> list[str]:
    """Return the variables of this environment that turn fault injection on."""
    return [name for name in _FAULTS if os.environ.get(name, "").strip() not in {"", "[]"}]
