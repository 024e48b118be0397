"""Show the logs of a service's pods, by kubectl."""

import asyncio
from asyncio.subprocess import PIPE
from typing import Final, cast

from orderfleet_cli.errors import CommandError
from orderfleet_cli.kubectl import find_kubectl
from orderfleet_cli.logs.lines import LinePrinter

_LABEL: Final = "app.kubernetes.io/component"
# kubectl follows five pods by default and refuses more.
_PODS: Final = 50
_LONGEST_LINE: Final = 2**20


async def show_pods(service: str, namespace: str, printer: LinePrinter) -> None:
    """Show the logs of the pods of a component.

    Raises:
        CommandError: kubectl is not installed, or failed.
    """
    kubectl = find_kubectl()
    where = f"namespace {namespace}" if namespace else "the namespace of the context"
    of_service = [f"--selector={_LABEL}={service}"]
    of_service += [f"--namespace={namespace}"] if namespace else []
    # `kubectl logs` succeeds where no pod matches.
    if not await kubectl.answer("get", "pods", *of_service, "--output=name"):
        raise CommandError(f"no pods of {service} found in {where}")
    command = [kubectl.program, "logs", *of_service, f"--tail={printer.lines}"]
    command.append(f"--max-log-requests={_PODS}")
    command += ["--follow"] if printer.follow else []
    child = await asyncio.create_subprocess_exec(*command, stdout=PIPE, limit=_LONGEST_LINE)
    try:
        async for line in cast("asyncio.StreamReader", child.stdout):
            printer.print(line.decode(errors="replace"))
        status = await child.wait()
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()
    if status:
        raise CommandError(f"kubectl exited with status {status}")
