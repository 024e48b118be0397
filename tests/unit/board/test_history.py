"""The board's fold over an audit log, compared with the rows that Postgres had: 200 real orders.

`orders.jsonl.gz` has them, made by `make record-orders`. A row belongs to the event that its
statement wrote last; of two events of one statement the first leaves the order as it was.
"""

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.support.node import node
from tests.unit.board.record import RECORDING

_BOARD: Final = Path(__file__).parents[3] / "services" / "api" / "board"
_FOLD: Final = Path(__file__).with_name("fold.mjs")
# Each changes one rule of the fold.
_MUTANTS: Final = {
    "a review starts the charge": ('case "validated":', 'case "reviewed":'),
    "a charge is no payment": ('pay("pending", null)', "moment"),
    "a request is a capture": ('pay("pending", null)', 'pay("captured", null)'),
    "a capture leaves the state": ('enter("charged", "charging").state', "moment.state"),
    "a capture is not seen": ('...pay("captured", "pending")', "...moment"),
    "nothing is prepared": ('enter("shipping", "charged")', "moment"),
    "a claim is not seen": ('enter("dispatching", "shipping")', "moment"),
    "every failed dispatch is released": ("payload.released ?", "true ?"),
    "no failed dispatch is released": ("payload.released ?", "false ?"),
    "an end is final": (
        'state: "fulfilled" };',
        'state: ENDS.includes(moment.state) ? moment.state : "fulfilled" };',
    ),
    "nothing is voided": ('pay("voided", "pending")', "moment"),
    "only a capture is refunded": ('pay("refunded", ...OWED)', 'pay("refunded", "pending")'),
    "the first address stays": ("address: payload.address", "address: moment.address"),
    "a time-out is no end": ('    case "timed_out":\n', ""),
    "a cancel is no end": ('    case "cancelled":\n', ""),
    "one event too many": ("index + 1).reduce", "index + 2).reduce"),
}


class Made(NamedTuple):
    """What the board makes of the recorded orders.

    Attributes:
        folds: by mutant, "" is none: of each order and event state, address and payment.
        timelines: the lanes of each order.
    """

    folds: dict[str, list[list[list[Any]]]]
    timelines: list[list[dict[str, Any]]]


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(RECORDING.read_bytes()).splitlines()]


@pytest.fixture(scope="module")
def made(recorded: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Made:
    board = Path(shutil.copytree(_BOARD, tmp_path_factory.mktemp("board") / "board"))
    # Without it, Node may take .js for another kind of module.
    (board / "package.json").write_text('{"type": "module"}')
    source = (board / "history.js").read_text()
    modules = {"": "history.js"}
    for number, (mutant, (right, wrong)) in enumerate(_MUTANTS.items()):
        assert source.count(right) == 1, mutant
        modules[mutant] = f"mutant-{number}.js"
        (board / modules[mutant]).write_text(source.replace(right, wrong))
    lines = "".join(f"{json.dumps(one['order'])}\n" for one in recorded)
    command = [str(node()), str(_FOLD), str(board), *modules.values()]
    run = subprocess.run(
        command, input=lines, capture_output=True, text=True, check=True, timeout=60
    )
    *folds, timelines = (json.loads(line) for line in run.stdout.splitlines())
    return Made(dict(zip(modules, folds, strict=True)), timelines)


def _differences(orders: list[dict[str, Any]], folded: list[list[list[Any]]]) -> Iterator[str]:
    for one, moments in zip(orders, folded, strict=True):
        rows = {count: (state, address, payment) for count, state, address, payment in one["rows"]}
        events = one["order"]["events"]
        moved = [event["number"] for event in events if event["type"] == "address_updated"]
        forgotten = [event["number"] for event in events if event["type"] == "forgotten"]
        before: tuple[Any, ...] = ("", None, None)
        for event, moment in zip(events, moments, strict=True):
            number = event["number"]
            state, address, payment = rows.get(number, before)
            if forgotten and number < forgotten[0]:
                # The log has no more of it than the row at the end, and that is redacted.
                address = {"street": "***", "city": "***"}
            if moved and number < moved[0]:
                # Not on record any more.
                address = None
            if moment != [state, address, payment]:
                name = f"{one['order']['id']}: {number} {event['type']}"
                yield f"{name}: {moment}, not {[state, address, payment]}"
            before = (state, address, payment)


def test_the_recording_has_every_end_and_every_kind_of_money(
    recorded: list[dict[str, Any]],
) -> None:
    assert len(recorded) == 200
    states = {one["order"]["state"] for one in recorded}
    assert states == {"fulfilled", "cancelled", "rejected", "failed", "timed_out"}
    payments = {row["status"] for one in recorded for row in one["order"]["payments"]}
    assert payments >= {"captured", "voided", "refunded"}
    for one in recorded:
        counts = [row[0] for row in one["rows"]]
        assert counts[-1] == len(one["order"]["events"])
        assert counts == sorted(set(counts)), one["order"]["id"]


def test_every_moment_of_every_order_is_what_postgres_had(
    recorded: list[dict[str, Any]], made: Made
) -> None:
    assert list(_differences(recorded, made.folds[""])) == []


def test_a_wrong_fold_differs(recorded: list[dict[str, Any]], made: Made) -> None:
    right = [mutant for mutant in _MUTANTS if not any(_differences(recorded, made.folds[mutant]))]
    assert right == []


def test_the_timeline_leaves_no_time_out(recorded: list[dict[str, Any]], made: Made) -> None:
    for one, lanes in zip(recorded, made.timelines, strict=True):
        order = one["order"]
        bars = sorted((bar["from"], bar["to"]) for lane in lanes for bar in lane["bars"])
        assert bars[0][0] == 0
        for (began, ended), (following, _) in pairwise(bars):
            # Waiting of less than 20 ms has no bar.
            assert began <= ended <= following < ended + 0.02, order["id"]
        began, end = (
            datetime.fromisoformat(event["ts"])
            for event in order["events"]
            if event["type"] in {"received", order["state"]}
        )
        assert bars[-1][1] >= (end - began).total_seconds() - 0.02, order["id"]
