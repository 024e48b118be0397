"""The commands `up` and `down`: the fleet on this machine."""

from orderfleet_cli.errors import StoppedError
from orderfleet_cli.fleet_addresses import DATA, DEMO_DATA
from orderfleet_cli.local import Fleet, FleetOptions, run_fleet, stop_left_over
from orderfleet_cli.signals import run_until_signal


def run_until_stopped() -> None:
    """Run the fleet until a signal comes."""
    try:
        run_until_signal(_stay(FleetOptions(data=DATA, durable=True, say=_say)))
    except StoppedError:
        _say("stopped")


def stop_all() -> None:
    """Stop what still runs here."""
    stopped = [name for data in (DEMO_DATA, DATA) for name in stop_left_over(data)]
    for name in stopped:
        _say(f"stopped {name}")
    if not stopped:
        _say("nothing to stop")


async def _stay(options: FleetOptions) -> None:
    async with run_fleet(options) as fleet:
        _say(_addresses(fleet))
        _say("Ctrl-C stops it.")
        await fleet.keep()


def _addresses(fleet: Fleet) -> str:
    return "\n".join(
        (
            f"API          {fleet.api_url}",
            f"API docs     {fleet.api_url}/docs",
            f"Temporal UI  {fleet.temporal_ui_url}",
            f"Temporal     {fleet.temporal_address}",
            f"Postgres     {fleet.psql}",
            f"Logs         {fleet.data / 'logs'}",
        )
    )


def _say(line: str) -> None:
    print(line, flush=True)
