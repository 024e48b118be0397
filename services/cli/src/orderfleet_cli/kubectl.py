"""Run kubectl: its output, or an error with its last line."""

import asyncio
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, cast

from orderfleet_cli.errors import CommandError
from orderfleet_cli.printing import one_line

# kubectl tries to discover a cluster's API five times, each for so long.
_REQUEST_TIMEOUT: Final = "10s"
_SECONDS: Final = 30.0
_LONGEST_LINE: Final = 2**20


class KubectlError(CommandError):
    """kubectl failed; the message is the last line of its standard error."""

    @property
    def forbidden(self) -> bool:
        """Whether the user lacks the permission; the object may be healthy all the same."""
        return "(Forbidden)" in str(self)

    @property
    def not_found(self) -> bool:
        """Whether the cluster has no such object, or no such kind of object."""
        return "(NotFound)" in str(self)


@dataclass(frozen=True)
class Kubectl:
    """kubectl in its current context."""

    program: str

    async def answer(self, *arguments: str) -> bytes:
        """Return what it prints within 30 s.

        Raises:
            KubectlError: it failed.
        """
        command = [self.program, *arguments, f"--request-timeout={_REQUEST_TIMEOUT}"]
        child = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        try:
            async with asyncio.timeout(_SECONDS):
                out, err = await child.communicate()
        except TimeoutError:
            raise KubectlError(f"kubectl: no answer in {_SECONDS:g} s") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            lines = err.decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"exited with status {child.returncode}"
            raise KubectlError(f"kubectl: {one_line(reason)}")
        return out

    async def lines(self, *arguments: str) -> AsyncIterator[str]:
        """Yield the lines that it prints, until it exits.

        Raises:
            KubectlError: it failed; the reason is on standard error.
        """
        child = await asyncio.create_subprocess_exec(
            self.program, *arguments, stdout=PIPE, limit=_LONGEST_LINE
        )
        try:
            async for line in cast("asyncio.StreamReader", child.stdout):
                yield line.decode(errors="replace")
            status = await child.wait()
        finally:
            if child.returncode is None:
                child.terminate()
                await child.wait()
        if status:
            raise KubectlError(f"kubectl: exited with status {status}")

    async def raw(self, path: str) -> bytes:
        """Return the response of the cluster's API at a path.

        Raises:
            KubectlError: it is an error, or there is none.
        """
        return await self.answer("get", f"--raw={path}")


def find_kubectl() -> Kubectl:
    """Return the kubectl of the PATH.

    Raises:
        CommandError: it is not installed.
    """
    program = shutil.which("kubectl")
    if program is None:
        raise CommandError("kubectl is not installed")
    return Kubectl(program)
