"""What the board offers in a state is what the store would take."""

import json
import subprocess
from pathlib import Path
from typing import Final

from orderfleet.domain.orders import ADDRESS_OPEN_STATES, OrderState, states_before
from tests.support.node import node

_BOARD: Final = Path(__file__).parents[3] / "services" / "api" / "board"
_SCRIPT: Final = """
const { permitted } = await import(process.argv[1]);
const [states] = JSON.parse(process.argv[2]);
const offered = [false, true].map((reviewed) =>
  Object.fromEntries(states.map((state) => [state, permitted({ state, reviewed })])),
);
console.log(JSON.stringify(offered));
"""


def test_actions_follow_the_graph_of_states(tmp_path: Path) -> None:
    for path in _BOARD.glob("*.js"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    states = json.dumps([list(OrderState)])
    run = subprocess.run(
        [node(), "--input-type=module", "--eval", _SCRIPT, tmp_path / "actions.js", states],
        capture_output=True,
        text=True,
        check=True,
    )
    undecided, decided = json.loads(run.stdout)
    for state in OrderState:
        expected = {}
        if state in states_before(OrderState.CANCELLED):
            expected["cancel"] = "change"
        if state in ADDRESS_OPEN_STATES:
            expected["address"] = "change"
        assert decided[state] == expected, state
        if state is OrderState.IN_REVIEW:
            expected["review"] = "review"
        assert undecided[state] == expected, state
