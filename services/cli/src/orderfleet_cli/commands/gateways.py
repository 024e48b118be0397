"""Check a gateway that is to replace a simulated one."""

from typing import Annotated

import typer

from orderfleet_cli.commands.options import AsJson, asynchronous, examples
from orderfleet_cli.errors import FAILED
from orderfleet_cli.gateway_check.target import Kind, Target

commands = typer.Typer()
group = typer.Typer(
    no_args_is_help=True,
    help="Check a payment gateway or a carrier of your own.",
    epilog=examples("orderfleet gateway check http://127.0.0.1:9000"),
)
commands.add_typer(group, name="gateway")


@group.command(
    epilog=examples(
        "orderfleet gateway check http://127.0.0.1:9000",
        "orderfleet gateway check https://carrier.example --kind carrier --credentials ./carrier",
        "orderfleet gateway check http://127.0.0.1:9000 --restart 'systemctl restart gateway'",
    )
)
@asynchronous
async def check(
    url: Annotated[str, typer.Argument(metavar="URL", help="URL of the gateway.")],
    kind: Annotated[Kind, typer.Option(help="What the gateway is.")] = Kind.PAYMENT,
    credentials: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="Directory with its credentials, as of the workers; by default none.",
            show_default=False,
        ),
    ] = "",
    restart: Annotated[
        str,
        typer.Option(
            metavar="COMMAND",
            help="Command that restarts it, to check what it keeps; by default not checked.",
            show_default=False,
        ),
    ] = "",
    amount: Annotated[str, typer.Option(help="Amount of a charge.")] = "1.00",
    currency: Annotated[str, typer.Option(help="Currency of a charge.")] = "USD",
    as_json: AsJson = False,
) -> None:
    """Check that a gateway keeps the contract, and name the rules that it breaks.

    It charges or dispatches under some hundred keys of its own, and refunds or recalls all of them:
    use a sandbox. It takes a minute at the most, and the exit code is 1 if a rule is broken.
    """
    from orderfleet_cli.gateway_check.run import check_gateway

    target = Target(url, credentials, restart, amount, currency)
    if not await check_gateway(target, kind, as_json=as_json):
        raise typer.Exit(FAILED)
