"""Settings of the shipping worker."""

from typing import Annotated

from orderfleet.environment import Env, HTTPAddress, SettingsError, is_http_url
from orderfleet.gateways.simulated import Faults
from orderfleet.settings import WorkerSettings


class ShippingWorkerSettings(WorkerSettings, frozen=True, kw_only=True):
    """What the shipping worker reads beside the common settings."""

    carrier_url: Annotated[
        HTTPAddress, Env("Carrier over HTTP; empty is the simulated one.", unit="URL", secret=True)
    ] = ""
    gateway_faults: Annotated[
        Faults, Env("Fault injection in the simulated gateways: a JSON list of faults.")
    ] = ()

    def check(self) -> None:
        """Refuse what is not the URL of a server."""
        super().check()
        if self.carrier_url and not is_http_url(self.carrier_url):
            raise SettingsError("ORDERFLEET_CARRIER_URL: expected http://host:port")
