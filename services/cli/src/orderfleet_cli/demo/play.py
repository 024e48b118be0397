"""Run the demo: start the fleet, play the scenarios, judge them, check the gateways' books."""

import asyncio
import contextlib
import os
import sys
import time
from typing import Final

import msgspec
import psutil
from rich.console import Console

from orderfleet.store.gateway_ledger import Balance, balance
from orderfleet.store.pool import open_pool
from orderfleet_cli.api_client import Api, ApiError, open_api
from orderfleet_cli.demo.actions import DEADLINE
from orderfleet_cli.demo.report import Outcome, report
from orderfleet_cli.demo.scenario import Scenario
from orderfleet_cli.demo.scenario_board import ScenarioBoard
from orderfleet_cli.demo.scenario_list import FLAKY, SCENARIOS
from orderfleet_cli.errors import CommandError
from orderfleet_cli.fleet_addresses import DATA, DEMO_DATA
from orderfleet_cli.local import Fleet, FleetOptions, run_fleet
from orderfleet_cli.private_files import make_directory
from orderfleet_cli.settings import ClientSettings, read

# An order's refund has no deadline and runs after the order's end.
_SETTLED_SECONDS: Final = 20.0
# Beyond an order's own 15 s: one that has no end by then is judged as it is.
_ENDED_SECONDS: Final = DEADLINE + 5
# Of the tables where there is no terminal.
_WIDTH: Final = 120
_POLL: Final = 0.5


async def play_demo(*, keep: bool) -> bool:
    """Run the demo, with its data in .data/demo; return whether all came out as expected."""
    make_directory(DATA)
    terminal = sys.stdout.isatty()
    console = Console(highlight=False, width=None if terminal else _WIDTH)
    began = psutil.Process(os.getpid()).create_time()
    faults = [fault for scenario in SCENARIOS for fault in scenario.faults]
    env = {
        "ORDERFLEET_FLAKY": FLAKY,
        "ORDERFLEET_GATEWAY_FAULTS": msgspec.json.encode(faults).decode(),
    }
    console.print("starting Postgres, Temporal, the API and the workers")
    key = read(ClientSettings).api_key
    fleet_options = FleetOptions(data=DEMO_DATA, env=env, fresh=True, say=console.print)
    async with run_fleet(fleet_options) as fleet:
        console.print(f"up after {time.time() - began:.1f} s, placing {len(SCENARIOS)} orders")
        board = ScenarioBoard(console, SCENARIOS)
        async with open_api(fleet.api_url, key) as api, board.shown():
            outcomes, _ = await asyncio.gather(
                asyncio.gather(*(_outcome(api, board, scenario) for scenario in SCENARIOS)),
                # A call that hung goes through up to then, and must find its key closed.
                asyncio.sleep(DEADLINE),
            )
        first = board.first_fulfilled and board.first_fulfilled - began
        passed = report(console, fleet, outcomes, await _books(fleet), first)
        if keep:
            console.print("The servers stay until Ctrl-C.")
            with contextlib.suppress(asyncio.CancelledError):
                await fleet.keep()
        else:
            console.print("The servers stop now; `orderfleet demo --keep` leaves them on.")
        return passed


async def _outcome(api: Api, board: ScenarioBoard, scenario: Scenario) -> Outcome:
    following = asyncio.create_task(board.follow(api, scenario))
    try:
        await scenario.play(api)
        async with asyncio.timeout(_ENDED_SECONDS):
            await following
    except ApiError as error:
        actual = str(error.status)
        board.set(scenario, actual)
        problems = () if actual in scenario.ends else (f"{actual}: {error}",)
        return Outcome(scenario, actual, problems)
    except TimeoutError:
        return Outcome(scenario, "no end", (f"no end after {_ENDED_SECONDS:g} s",))
    except CommandError as error:
        return Outcome(scenario, "no answer", (str(error),))
    finally:
        following.cancel()
    return await _judge(api, scenario)


async def _judge(api: Api, scenario: Scenario) -> Outcome:
    deadline = time.monotonic() + _SETTLED_SECONDS
    while True:
        order = await api.order(scenario.order_id)
        problems = scenario.problems(order)
        if not problems or time.monotonic() > deadline:
            return Outcome(scenario, order["state"], tuple(problems), order)
        await asyncio.sleep(_POLL)


async def _books(fleet: Fleet) -> Balance:
    deadline = time.monotonic() + _SETTLED_SECONDS
    async with open_pool(fleet.database_url, size=1, wait_seconds=5) as pool:
        while True:
            books = await balance(pool)
            if books.balanced or time.monotonic() > deadline:
                return books
            await asyncio.sleep(_POLL)
