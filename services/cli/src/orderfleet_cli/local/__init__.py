"""The whole fleet on one machine, without Docker or root."""

from orderfleet_cli.local.fleet import SERVICES, Fleet, FleetOptions, Ports, run_fleet
from orderfleet_cli.local.pid_files import stop_left_over
from orderfleet_cli.local.postgres import Postgres, run_postgres
from orderfleet_cli.local.temporal import Temporal, run_temporal

__all__ = [
    "SERVICES",
    "Fleet",
    "FleetOptions",
    "Ports",
    "Postgres",
    "Temporal",
    "run_fleet",
    "run_postgres",
    "run_temporal",
    "stop_left_over",
]
