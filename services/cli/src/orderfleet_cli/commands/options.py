"""What several commands share: options, examples, and how an asynchronous command runs."""

import functools
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, ParamSpec, TypeAlias

import typer

P = ParamSpec("P")

OrderId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="The order's id.", show_default=False)
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Namespace: TypeAlias = Annotated[
    str, typer.Option(help="Kubernetes namespace; by default kubectl's.", show_default=False)
]
Street: TypeAlias = Annotated[str, typer.Option(help="Street and number.")]
City: TypeAlias = Annotated[str, typer.Option(help="Town.")]
Name: TypeAlias = Annotated[str, typer.Option(help="Who receives it.", show_default=False)]
Region: TypeAlias = Annotated[str, typer.Option(help="State or province.", show_default=False)]
PostalCode: TypeAlias = Annotated[str, typer.Option(help="Postal code.", show_default=False)]
Country: TypeAlias = Annotated[str, typer.Option(help="Country.", show_default=False)]

_EXAMPLES: Final = "Examples:"


def asynchronous(command: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Let Typer, which calls plain functions, run a coroutine until its end or a signal."""

    @functools.wraps(command)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        from orderfleet_cli.signals import run_until_signal

        run_until_signal(command(*args, **kwargs))

    return call


def examples(*lines: str) -> str:
    """Return the end of a command's help."""
    return "\n\n".join((_EXAMPLES, *(f"$ {line}" for line in lines)))


def address(**parts: str) -> dict[str, str]:
    """Return an address as the API takes it, without its empty parts."""
    return {name: value for name, value in parts.items() if value}
