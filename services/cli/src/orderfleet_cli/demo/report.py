"""The report of the demo: outcomes, an audit trail, the gateways' books."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from rich.console import Console
from rich.table import Table

from orderfleet.store.simulated_ledger import Balance
from orderfleet_cli.api_client import Json
from orderfleet_cli.demo.scenario import Scenario, seconds_taken
from orderfleet_cli.demo.scenario_list import SHOWN
from orderfleet_cli.local import Fleet


@dataclass(frozen=True)
class Outcome:
    """The outcome of a scenario; `problems` lists what is not as expected."""

    scenario: Scenario
    actual: str
    problems: tuple[str, ...]
    order: Json | None = None


def report(
    console: Console,
    fleet: Fleet,
    outcomes: Sequence[Outcome],
    books: Balance,
    first: float | None,
) -> bool:
    """Print the report; return whether everything is as expected."""
    console.print()
    console.print(_table(outcomes))
    orders = {outcome.scenario.order_id: outcome.order for outcome in outcomes}
    if order := orders.get(SHOWN):
        console.print(f"\nAudit trail of {SHOWN}:")
        for line in _audit_trail(order):
            console.print(line, markup=False)
    console.print("\nThe gateways' own books:")
    console.print(
        f"  captured {books.captured} - refunded {books.refunded} = fulfilled {books.fulfilled}"
    )
    problems = list(_problems(outcomes, books))
    if books.balanced:
        console.print("  order by order; nothing charged twice, nothing refunded and shipped")
    console.print(f"\nBoard        {fleet.api_url}/board\nAPI docs     {fleet.api_url}/docs")
    console.print(f"Temporal UI  {fleet.temporal_ui_url}")
    for problem in problems:
        console.print(f"WRONG: {problem}", markup=False)
    if problems:
        console.print(f"{len(problems)} problems; see the logs in {fleet.data / 'logs'}")
        return False
    after = "" if first is None else f", the first fulfilled {first:.1f} s after the command"
    console.print(f"All {len(outcomes)} orders ended as expected{after}.")
    return True


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("order", no_wrap=True)
    table.add_column("scenario")
    table.add_column("expected")
    table.add_column("actual", no_wrap=True)
    table.add_column("seconds", justify="right")
    table.add_column("")
    for outcome in outcomes:
        seconds = seconds_taken(outcome.order) if outcome.order else None
        table.add_row(
            outcome.scenario.order_id,
            outcome.scenario.title,
            outcome.scenario.expected,
            outcome.actual,
            "" if seconds is None else f"{seconds:.1f}",
            "WRONG" if outcome.problems else "ok",
        )
    return table


def _audit_trail(order: Json) -> Iterator[str]:
    for event in order["events"]:
        payload = msgspec.json.encode(event["payload"]).decode() if event["payload"] else ""
        yield f"  {event['number']:>2}  {event['ts'][11:23]}  {event['type']:<16} {payload}"


def _problems(outcomes: Sequence[Outcome], books: Balance) -> Iterator[str]:
    for outcome in outcomes:
        for problem in outcome.problems:
            yield f"{outcome.scenario.order_id}: {problem}"
    for problem, orders in (
        ("captured - refunded is not fulfilled", books.unbalanced_orders),
        ("charged twice", books.charged_twice),
        ("refunded and shipped", books.refunded_and_shipped),
    ):
        if orders:
            yield f"{problem}: {', '.join(orders)}"
