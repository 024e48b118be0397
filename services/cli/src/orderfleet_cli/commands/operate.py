"""Operate a fleet: logs, a live board, load, forgetting, checks, keys."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orderfleet.domain.roles import Role
from orderfleet_cli.commands.options import AsJson, Namespace, OrderId, asynchronous, examples
from orderfleet_cli.errors import FAILED, UsageError

commands = typer.Typer()


class Service(StrEnum):
    """The services with logs, by the names of the log files and of the chart's components."""

    API = "api"
    ORDER_WORKER = "order-worker"
    SHIPPING_WORKER = "shipping-worker"
    POSTGRES = "postgres"
    TEMPORAL = "temporal"


@commands.command(
    epilog=examples(
        "orderfleet logs --service api --follow",
        "orderfleet logs --service order-worker --kubernetes --namespace shop",
    )
)
@asynchronous
async def logs(
    service: Annotated[
        Service, typer.Option(help="Service whose log to show.", show_default=False)
    ],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the log until Ctrl-C.")
    ] = False,
    lines: Annotated[
        int, typer.Option(min=0, max=100_000, help="Lines to show from the end.")
    ] = 50,
    data: Annotated[
        Path, typer.Option(help="Data directory of `up`; of `demo`: .data/demo.")
    ] = Path(".data"),
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Show the logs of pods, by kubectl.")
    ] = False,
    namespace: Namespace = "",
    as_json: AsJson = False,
) -> None:
    """Show the log of a service, of the fleet on this machine or in Kubernetes."""
    from orderfleet_cli.logs.files import show_file
    from orderfleet_cli.logs.lines import LinePrinter
    from orderfleet_cli.logs.pods import show_pods

    printer = LinePrinter(lines=lines, follow=follow, as_json=as_json)
    if kubernetes:
        await show_pods(service, namespace, printer)
    else:
        await show_file(service, data, printer)


@commands.command(epilog=examples("orderfleet watch", "orderfleet watch order-1 order-2 --json"))
@asynchronous
async def watch(
    order_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]...", help="Orders to watch; by default the open ones.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100, help="Most orders to show, the latest first.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Watch orders as they go, until Ctrl-C or until the named orders have ended.

    On a terminal it is a board, elsewhere a line per change.
    """
    from orderfleet_cli.watch import watch_orders

    await watch_orders(order_ids or [], limit=limit, as_json=as_json)


@commands.command(
    epilog=examples(
        "orderfleet load --rate 20 --seconds 60",
        "orderfleet load --rate 50 --seconds 60 --retry-after",
    )
)
@asynchronous
async def load(
    rate: Annotated[float, typer.Option(min=0.1, max=200, help="Orders a second.")],
    seconds: Annotated[float, typer.Option(min=1, max=600, help="For how long.")],
    deadline: Annotated[
        float, typer.Option(min=1, max=3600, help="Deadline of an order, in seconds.")
    ] = 15,
    background: Annotated[
        bool,
        typer.Option("--background", help="Place background orders, which other orders go before."),
    ] = False,
    retry_after: Annotated[
        bool,
        typer.Option(
            "--retry-after",
            help="Send a refused order again, up to 5 times, each after the answer's Retry-After.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Place orders at a fixed rate, however fast the answers come, and report the results.

    Then wait for their ends, 20 s at the most. Refused orders count by status and reason. The exit
    code is 1 unless every order was accepted, with --retry-after in the end, and every one ended in
    time. Latencies count from the moment an order was due.
    """
    from orderfleet_cli.load.open_loop import place_load

    if not await place_load(
        rate,
        seconds,
        deadline,
        background=background,
        retry_after=retry_after,
        as_json=as_json,
    ):
        raise typer.Exit(FAILED)


@commands.command(
    epilog=examples("orderfleet forget order-1", "orderfleet forget order-1 --no-wait")
)
@asynchronous
async def forget(
    order_id: OrderId,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--no-wait", help="Wait until nothing is left, or only start the workflow."
        ),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Forget the customer of an order that has ended: its address and every free text.

    Ids, money, states, numbers and times stay, in the audit trail too. The order's histories are
    deleted from Temporal, up to 30 s after the order's end. Repeating it is safe; there is no way
    back.
    """
    from orderfleet_cli.temporal.forget import forget_order

    await forget_order(order_id, wait=wait, as_json=as_json)


@commands.command(
    epilog=examples("orderfleet doctor", "orderfleet doctor --kubernetes --namespace shop")
)
@asynchronous
async def doctor(
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Check a release of the chart, by kubectl.")
    ] = False,
    namespace: Namespace = "",
    release: Annotated[
        str, typer.Option(help="Release of the chart; by default the only one.", show_default=False)
    ] = "",
    prometheus: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Prometheus to query; by default the one that the ScaledObjects name.",
            show_default=False,
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check the fleet: what is reachable, set up and in time. It changes nothing.

    With --kubernetes, check a release: its pods, the gates of its builds, and how it is scaled,
    from the scrape of metrics over the triggers' queries, KEDA and ScaledObjects to the
    autoscalers. A check that cannot be made from here is SKIP, and no failure.
    """
    from orderfleet_cli.doctor.run_checks import check_fleet, check_kubernetes

    if kubernetes:
        good = await check_kubernetes(namespace, release, prometheus, as_json=as_json)
    elif namespace or release or prometheus:
        raise UsageError("--namespace, --release and --prometheus need --kubernetes")
    else:
        good = await check_fleet(as_json=as_json)
    if not good:
        raise typer.Exit(FAILED)


@commands.command(
    epilog=examples("orderfleet api-key shop", "orderfleet api-key desk --role read --role review")
)
def api_key(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Owner of the key; audit trails record it.")
    ],
    role: Annotated[
        list[Role] | None,
        typer.Option(
            help="Role of the key, repeatable; by default all but operate.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for the API, and the line that admits it. Nothing is stored."""
    from orderfleet_cli.api_key import make_key

    make_key(name, role or (), as_json=as_json)
