"""The commands `up` and `down`: the fleet on this machine."""

from orderfleet_cli.errors import StoppedError
from orderfleet_cli.fleet_addresses import DATA, DEMO_DATA
from orderfleet_cli.local import Fleet, FleetOptions, run_fleet, stop_left_over
from orderfleet_cli.signals import run_until_signal


def run_until_stopped() -> None:
    """Run the fleet until a signal comes."""
    try:
        run_until_signal(_run())
    except StoppedError:
        _say("stopped")


def stop_all() -> None:
    """Stop what still runs here."""
    stopped = [process for data in (DEMO_DATA, DATA) for process in stop_left_over(data)]
    for process in stopped:
        _say(f"stopped {process}")
    if not stopped:
        _say("nothing to stop")


async def _run() -> None:
    async with run_fleet(FleetOptions(data=DATA, durable=True, say=_say)) as fleet:
        _say(_addresses(fleet))
        _say("Press Ctrl-C to stop.")
        await fleet.keep()


def _addresses(fleet: Fleet) -> str:
    return f"""\
Board        {fleet.api_url}/board
API          {fleet.api_url}
API docs     {fleet.api_url}/docs
Temporal UI  {fleet.temporal_ui_url}
Temporal     {fleet.temporal_address}
Postgres     {fleet.psql}
Logs         {fleet.data / "logs"}"""


def _say(line: str) -> None:
    print(line, flush=True)
