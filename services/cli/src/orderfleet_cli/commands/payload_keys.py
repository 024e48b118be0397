"""Make and rotate the file of keys that encrypt what Temporal stores of orders."""

from typing import Annotated

import typer

from orderfleet_cli.commands.options import AsJson, examples

commands = typer.Typer()
group = typer.Typer()
commands.add_typer(group, name="payload-key")

After = Annotated[
    float,
    typer.Option(
        min=0,
        max=30 * 86400,
        help="Seconds until the new key encrypts; every process has to have the file by then.",
    ),
]


@group.callback(
    no_args_is_help=True,
    epilog=examples("orderfleet payload-key new payload-keys", "orderfleet payload-key new -"),
)
def payload_key() -> None:
    """Make or rotate a file of payload keys; it is read and written here, and nowhere else.

    ORDERFLEET_PAYLOAD_KEYS_FILE names it to the API, the workers and this command.
    """


@group.command(
    epilog=examples(
        "orderfleet payload-key new payload-keys",
        "orderfleet payload-key new payload-keys --after 3600",
        "orderfleet payload-key new - | kubectl create secret generic orderfleet-payload-keys "
        "--from-file keys=/dev/stdin",
    )
)
def new(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File to make; - is stdout.")],
    after: After = 0,
    as_json: AsJson = False,
) -> None:
    """Make a file with one key, which only its user can read.

    Where orders are under way, let it encrypt later: a process without the file cannot read them.
    """
    from orderfleet_cli.payload_key import write_new

    write_new(file, after, as_json=as_json)


@group.command(epilog=examples("orderfleet payload-key rotate payload-keys"))
def rotate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File of keys.")],
    after: After = 120,
    as_json: AsJson = False,
) -> None:
    """Put a new key first, which encrypts; the others stay and decrypt.

    Delete an old key's line once Temporal has no history left that it encrypted.
    """
    from orderfleet_cli.payload_key import rotate as rotate_file

    rotate_file(file, after, as_json=as_json)
