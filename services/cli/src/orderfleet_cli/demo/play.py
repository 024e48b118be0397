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

from orderfleet.polling import poll
from orderfleet.store.pool import open_pool
from orderfleet.store.simulated_ledger import Balance, balance
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

# A refund has no deadline and runs after the order has ended.
_REFUND_SECONDS: Final = 20.0
# Longer than an order's 15 s: an order that is open after that has missed its deadline.
_END_SECONDS: Final = DEADLINE + 5
# Of tables that are not printed to a terminal.
_WIDTH: Final = 120
_POLL: Final = 0.5
# All in one moment are more than the API lets wait in a fleet that has just started.
_APART_SECONDS: Final = 0.1


async def play_demo(*, keep: bool) -> bool:
    """Run the demo with its data in .data/demo; return whether each order ended as expected."""
    make_directory(DATA)
    terminal = sys.stdout.isatty()
    console = Console(highlight=False, width=None if terminal else _WIDTH)
    began = psutil.Process(os.getpid()).create_time()
    faults = [fault for scenario in SCENARIOS for fault in scenario.faults]
    env = {
        "ORDERFLEET_FLAKY": FLAKY,
        "ORDERFLEET_GATEWAY_FAULTS": msgspec.json.encode(faults).decode(),
    }
    console.print("Starting Postgres, Temporal, the API and the workers")
    key = read(ClientSettings).api_key
    fleet_options = FleetOptions(data=DEMO_DATA, env=env, fresh=True, say=console.print)
    async with run_fleet(fleet_options) as fleet:
        console.print(f"Ready after {time.time() - began:.1f} s, placing {len(SCENARIOS)} orders")
        console.print(f"Watch them in a browser: {fleet.api_url}/board")
        board = ScenarioBoard(console, SCENARIOS)
        async with open_api(fleet.api_url, key) as api:
            with board.live():
                outcomes, _ = await asyncio.gather(
                    asyncio.gather(
                        *(
                            _play(api, board, scenario, number * _APART_SECONDS)
                            for number, scenario in enumerate(SCENARIOS)
                        )
                    ),
                    # A charge that hangs goes through up to then, and must find its key voided.
                    asyncio.sleep(len(SCENARIOS) * _APART_SECONDS + DEADLINE),
                )
        first = board.first_fulfilled and board.first_fulfilled - began
        passed = report(console, fleet, outcomes, await _books(fleet), first)
        if keep:
            console.print("The servers keep running. Press Ctrl-C to stop.")
            with contextlib.suppress(asyncio.CancelledError):
                await fleet.keep()
        else:
            console.print("Stopping the servers; `orderfleet demo --keep` leaves them running.")
        return passed


async def _play(api: Api, board: ScenarioBoard, scenario: Scenario, pause: float) -> Outcome:
    await asyncio.sleep(pause)
    following = asyncio.create_task(board.follow(api, scenario))
    try:
        await scenario.play(api)
        async with asyncio.timeout(_END_SECONDS):
            await following
    except ApiError as error:
        actual = str(error.status)
        board.set(scenario, actual)
        problems = () if actual in scenario.ends else (f"{actual}: {error}",)
        return Outcome(scenario, actual, problems)
    except TimeoutError:
        return Outcome(scenario, "no end", (f"no end after {_END_SECONDS:g} s",))
    except CommandError as error:
        return Outcome(scenario, "no answer", (str(error),))
    finally:
        following.cancel()
    return await _judge(api, scenario)


async def _judge(api: Api, scenario: Scenario) -> Outcome:
    order = await poll(
        lambda: api.order(scenario.order_id),
        lambda order: not scenario.problems(order),
        seconds=_REFUND_SECONDS,
        pause=_POLL,
    )
    return Outcome(scenario, order["state"], tuple(scenario.problems(order)), order)


async def _books(fleet: Fleet) -> Balance:
    async with open_pool(fleet.database_url, size=1, wait_seconds=5) as pool:
        return await poll(
            lambda: balance(pool),
            lambda books: books.balanced,
            seconds=_REFUND_SECONDS,
            pause=_POLL,
        )
