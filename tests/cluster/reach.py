"""Try to reach ports of other pods, and print which answered, as JSON.

Runs in a pod, with the standard library. TARGETS is a JSON list of [address, port]. The network
learns of a new pod within some seconds, so what counts is the last of several tries.
"""

import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_TRIES: Final = 4
_APART_SECONDS: Final = 2.0
_WITHIN_SECONDS: Final = 2.0


def reaches(target: tuple[str, int]) -> bool:
    """Tell whether a connection opens."""
    try:
        socket.create_connection(target, timeout=_WITHIN_SECONDS).close()
    except OSError:
        return False
    return True


def main() -> None:
    """Print the last try's results."""
    targets = [(address, port) for address, port in json.loads(os.environ["TARGETS"])]
    reached: list[bool] = []
    with ThreadPoolExecutor(len(targets)) as threads:
        for _ in range(_TRIES):
            time.sleep(_APART_SECONDS)
            reached = list(threads.map(reaches, targets))
    print(json.dumps(reached))  # noqa: T201  # the log is its result


if __name__ == "__main__":
    main()
