"""Settings of the shipping worker."""

from typing import Annotated

from orderfleet.settings import Env, WorkerSettings
from orderfleet.simulated_gateways import Faults


class ShippingWorkerSettings(WorkerSettings, frozen=True, kw_only=True):
    """What the shipping worker reads beside the common settings."""

    carrier_url: Annotated[
        str, Env("Carrier over HTTP; empty is the simulated one.", unit="URL")
    ] = ""
    gateway_faults: Annotated[
        Faults, Env("Fault injection in the simulated gateways: a JSON list of faults.")
    ] = ()
