"""The entry point of the command `orderfleet`.

Exit codes:

    0    done
    1    failed or refused: no such order, too late, a check failed
    2    wrong usage, or a setting is wrong
    3    something is unreachable: the API, Temporal or Postgres; the same again may work
    130  stopped by Ctrl-C or another signal (`up` ends with 0: that is how it ends)

An error is one line on standard error.
"""

import os
import sys
from contextlib import suppress
from typing import NoReturn

from orderfleet_cli.errors import FAILED, INTERRUPTED, CommandError, StoppedError


def main() -> NoReturn:
    """Run the command line."""
    try:
        # Imported here, so that Ctrl-C during the import of Typer prints no traceback either.
        from orderfleet_cli.app import run

        status = run()
    except (KeyboardInterrupt, StoppedError):
        status = INTERRUPTED
    except CommandError as error:
        status = _say(error, error.exit_code)
    except OSError as error:
        status = _say(error, FAILED)
    _leave(status)


def _say(error: Exception, status: int) -> int:
    print(f"orderfleet: {error}", file=sys.stderr)
    return status


def _leave(status: int) -> NoReturn:
    """End the process as it is.

    To finalise the interpreter aborts it one time in four after a call of Temporal: a thread of
    the SDK may still be letting go of the call (temporalio/sdk-python#300).
    """
    for stream in (sys.stdout, sys.stderr):
        # Whoever read it may be gone.
        with suppress(OSError):
            stream.flush()
    os._exit(status)
