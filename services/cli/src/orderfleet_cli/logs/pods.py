"""Show the logs of a service's pods, by kubectl."""

from typing import Final

from orderfleet_cli.errors import CommandError
from orderfleet_cli.kubectl import find_kubectl
from orderfleet_cli.logs.lines import LinePrinter

_LABEL: Final = "app.kubernetes.io/component"
# kubectl follows five pods by default and refuses more.
_PODS: Final = 50


async def show_pods(service: str, namespace: str, printer: LinePrinter) -> None:
    """Show the logs of the pods of a component.

    Raises:
        CommandError: kubectl is not installed or failed, or there is no such pod.
    """
    kubectl = find_kubectl()
    where = f"namespace {namespace}" if namespace else "the namespace of the context"
    pods = [f"--selector={_LABEL}={service}", *([f"--namespace={namespace}"] if namespace else [])]
    # `kubectl logs` succeeds where no pod matches.
    if not await kubectl.answer("get", "pods", *pods, "--output=name"):
        raise CommandError(f"no pods of {service} found in {where}")
    options = [f"--tail={printer.lines}", f"--max-log-requests={_PODS}"]
    options += ["--follow"] if printer.follow else []
    async for line in kubectl.lines("logs", *pods, *options):
        printer.print(line)
