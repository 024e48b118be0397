"""Settings of the shipping worker."""

from typing import Annotated

from orderfleet.environment import Env, HTTPAddress
from orderfleet.gateways.settings import check_gateway
from orderfleet.gateways.simulated import Faults
from orderfleet.settings import WorkerSettings


class ShippingWorkerSettings(WorkerSettings, frozen=True, kw_only=True):
    """What the shipping worker reads beside the common settings."""

    carrier_url: Annotated[
        HTTPAddress, Env("Carrier over HTTP; empty is the simulated one.", unit="URL", secret=True)
    ] = ""
    carrier_credentials: Annotated[
        str,
        Env(
            "Directory with the carrier's credentials, read again when they change: token, "
            "username and password, headers, ca.crt, tls.crt and tls.key. Empty is none."
        ),
    ] = ""
    gateway_faults: Annotated[
        Faults, Env("Fault injection in the simulated gateways: a JSON list of faults.")
    ] = ()

    def check(self) -> None:
        """Check the carrier's URL and credentials."""
        super().check()
        check_gateway("ORDERFLEET_CARRIER", self.carrier_url, self.carrier_credentials)
