"""`make test-restore`: restore both databases to different times, under load, and judge by ledgers.

TIMES rounds (3), each of a SEED and the next ones (random), with backups GAP seconds apart (60), at
RATE orders a second (4). RECORDED=no keeps the restore from the fleet: what would be lost then.
"""

import os
import secrets
import sys
import tempfile
from pathlib import Path

from orderfleet_cli.errors import StoppedError
from orderfleet_cli.signals import run_until_signal
from tests.bench.server import run_server
from tests.restore.gateways import Bank, Post
from tests.restore.trial import Setting, run_trial, summary
from tests.support.gateways import serve_gateway


async def _main() -> int:
    times, gap = int(os.environ.get("TIMES", "3")), float(os.environ.get("GAP", "60"))
    first = int(os.environ.get("SEED") or secrets.randbelow(10**6))
    bank, post = Bank(), Post()
    with (
        tempfile.TemporaryDirectory() as folder,
        serve_gateway(bank) as money,
        serve_gateway(post) as parcels,
    ):
        async with run_server(Path(folder)) as server:
            setting = Setting(
                data=Path(folder),
                server=server,
                bank=bank,
                post=post,
                env={
                    "ORDERFLEET_PAYMENT_GATEWAY_URL": money,
                    "ORDERFLEET_CARRIER_URL": parcels,
                },
                gap=gap,
                rate=float(os.environ.get("RATE", "4")),
                recorded=os.environ.get("RECORDED", "yes") != "no",
            )
            wrong = 0
            for seed in range(first, first + times):
                result = await run_trial(setting, seed)
                wrong += bool(result.verdict.wrong)
                print(*summary([result]), sep="\n", flush=True)
            print(f"{times - wrong} of {times} rounds are right (SEED={first} GAP={gap:g})")
    return min(wrong, 1)


if __name__ == "__main__":
    try:
        sys.exit(run_until_signal(_main()))
    except StoppedError as error:
        sys.exit(f"restore: {error}")
