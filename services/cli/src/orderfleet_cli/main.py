"""The entry point of the command `orderfleet`.

Exit codes:

    0    done
    1    failed or refused: no such order, too late, a failed check
    2    wrong usage or a wrong setting
    3    the API, Temporal, Postgres or a gateway is unreachable: repeating the command may help
    130  stopped by Ctrl-C or another signal (`up` then ends with 0)

An error is one line on standard error.
"""

import os
import sys
from contextlib import suppress
from typing import NoReturn

from orderfleet_cli.errors import FAILED, INTERRUPTED, CommandError, StoppedError, UnreachableError


def main() -> NoReturn:
    """Run the command line."""
    try:
        # Imported here, so that Ctrl-C during the import of Typer prints no traceback either.
        from orderfleet_cli.app import run

        status = run()
    except (KeyboardInterrupt, StoppedError):
        status = INTERRUPTED
    except CommandError as error:
        hint = " (see `orderfleet doctor`)" if isinstance(error, UnreachableError) else ""
        print(f"orderfleet: {error}{hint}", file=sys.stderr)
        status = error.exit_code
    except SystemExit as error:
        # Typer's, after shell completion or when the reader of a pipe is gone.
        status = error.code if isinstance(error.code, int) else FAILED
    _exit(status)


def _exit(status: int) -> NoReturn:
    """End the process without finalising the interpreter.

    After a call of Temporal, finalising aborts the process one time in four: a thread of the SDK
    may still be releasing the call (temporalio/sdk-python#300).
    """
    for stream in (sys.stdout, sys.stderr):
        # The reader of a pipe may be gone.
        with suppress(OSError):
            stream.flush()
    os._exit(status)
