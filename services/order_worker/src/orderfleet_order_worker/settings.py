"""Settings of the order worker."""

from typing import Annotated

from orderfleet.environment import Env, HTTPAddress, Seconds, SettingsError, is_http_url
from orderfleet.gateways.simulated import Faults
from orderfleet.settings import WorkerSettings


class OrderWorkerSettings(WorkerSettings, frozen=True, kw_only=True):
    """What the order worker reads beside the common settings."""

    payment_gateway_url: Annotated[
        HTTPAddress,
        Env("Payment gateway over HTTP; empty is the simulated one.", unit="URL", secret=True),
    ] = ""
    gateway_faults: Annotated[
        Faults, Env("Fault injection in the simulated gateways: a JSON list of faults.")
    ] = ()
    reconcile_seconds: Annotated[
        Seconds,
        Env(
            "How often ReconcileOrders looks for orders left behind; 0 is never.",
            names=("ORDERFLEET_RECONCILE_SECONDS", "ORDERFLEET_SETTLE_SECONDS"),
            unit="s",
        ),
    ] = 10.0

    def check(self) -> None:
        """Refuse what is not the URL of a server."""
        super().check()
        if self.payment_gateway_url and not is_http_url(self.payment_gateway_url):
            raise SettingsError("ORDERFLEET_PAYMENT_GATEWAY_URL: expected http://host:port")
