"""Settings of the order worker."""

from typing import Annotated

from msgspec import Meta

from orderfleet.environment import Env, HTTPAddress, Seconds, SettingsError
from orderfleet.gateways.settings import check_gateway
from orderfleet.gateways.simulated import Faults
from orderfleet.settings import WorkerSettings


class OrderWorkerSettings(WorkerSettings, frozen=True, kw_only=True):
    """What the order worker reads beside the common settings."""

    payment_gateway_url: Annotated[
        HTTPAddress,
        Env("Payment gateway over HTTP; empty is the simulated one.", unit="URL", secret=True),
    ] = ""
    payment_gateway_credentials: Annotated[
        str,
        Env(
            "Directory with the payment gateway's credentials, read again when they change: token, "
            "username and password, headers, ca.crt, tls.crt and tls.key. Empty is none."
        ),
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
    forget_after_days: Annotated[
        Annotated[float, Meta(ge=0, le=36_500)],
        Env(
            "Age at which ReconcileOrders has an order that has ended forgotten; 0 is never. There "
            "is no way back.",
            unit="d",
        ),
    ] = 0.0

    def check(self) -> None:
        """Check the payment gateway's URL and credentials, and what Temporal refuses later."""
        super().check()
        if 0 < self.reconcile_seconds < 1:
            raise SettingsError("ORDERFLEET_RECONCILE_SECONDS: expected 0, or 1 and more")
        check_gateway(
            "ORDERFLEET_PAYMENT_GATEWAY", self.payment_gateway_url, self.payment_gateway_credentials
        )
