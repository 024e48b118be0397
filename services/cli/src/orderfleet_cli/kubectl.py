"""kubectl as a program: what it answers, or why it does not."""

import asyncio
import shutil
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from typing import Final

from orderfleet_cli.errors import CommandError
from orderfleet_cli.printing import one_line

# kubectl looks up a cluster's API five times before it gives up, each for so long.
_REQUEST_TIMEOUT: Final = "10s"
_SECONDS: Final = 30.0


class KubectlError(CommandError):
    """kubectl failed; the message is the last line that it said."""

    @property
    def forbidden(self) -> bool:
        """Tell whether the user may not see this; it may be well all the same."""
        return "(Forbidden)" in str(self)

    @property
    def not_found(self) -> bool:
        """Tell whether the cluster has no such thing, or no such kind of things."""
        return "(NotFound)" in str(self)


@dataclass(frozen=True)
class Kubectl:
    """kubectl in its current context."""

    program: str

    async def answer(self, *arguments: str) -> bytes:
        """Return what it prints; it has 30 s.

        Raises:
            KubectlError: it failed.
        """
        command = [self.program, *arguments, f"--request-timeout={_REQUEST_TIMEOUT}"]
        child = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        try:
            async with asyncio.timeout(_SECONDS):
                out, said = await child.communicate()
        except TimeoutError:
            raise KubectlError(f"kubectl: no answer for {_SECONDS:g} s") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            lines = said.decode(errors="replace").strip().splitlines()
            why = f": {one_line(lines[-1])}" if lines else f" ended with status {child.returncode}"
            raise KubectlError(f"kubectl{why}")
        return out

    async def raw(self, path: str) -> bytes:
        """Return what the cluster's API answers at a path.

        Raises:
            KubectlError: it refuses, or there is no answer.
        """
        return await self.answer("get", f"--raw={path}")


def find_kubectl() -> Kubectl:
    """Return the kubectl of this machine.

    Raises:
        CommandError: there is none.
    """
    program = shutil.which("kubectl")
    if program is None:
        raise CommandError("kubectl is not installed")
    return Kubectl(program)
