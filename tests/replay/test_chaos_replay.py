"""How chaos replays the histories of a run, on the source that wrote them."""

import json
import os
from pathlib import Path

from tests.chaos.collect import replay
from tests.replay.record import HISTORIES


async def test_chaos_names_the_histories_that_do_not_replay(tmp_path: Path) -> None:
    for name in ("approved", "fulfilled"):
        history = json.loads((HISTORIES / f"{name}.json").read_text())
        if name == "fulfilled":
            _rename_the_charge(history)
        (tmp_path / f"{name}.json").write_text(json.dumps({"workflow_id": name, **history}))
    (failure,) = await replay(tmp_path, os.environ)
    assert failure.workflow_id == "fulfilled"
    assert "ondeterminism" in failure.error


def _rename_the_charge(history: dict[str, object]) -> None:
    text = json.dumps(history)
    assert '"charge"' in text
    history.update(json.loads(text.replace('"charge"', '"refund"')))
