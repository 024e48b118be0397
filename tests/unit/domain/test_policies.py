import ast
from datetime import timedelta
from pathlib import Path

from orderfleet.domain.policies import (
    FORGET_HISTORIES,
    FORGET_ROWS,
    GATEWAY_CALL_SECONDS,
    GATEWAY_LOOKUP_SECONDS,
    GATEWAY_STEP,
    HEARTBEAT_INTERVAL,
    HEARTBEAT_TIMEOUT,
    STEP_RETRY,
    UNDO,
    UNDO_STEP,
    step_backoff,
)


def test_a_gateway_is_given_up_before_its_activity_is() -> None:
    # A dispatch may look up, call and recall; a refund may look up, void and refund.
    assert GATEWAY_STEP.total_seconds() > GATEWAY_CALL_SECONDS
    slowest = GATEWAY_CALL_SECONDS + 2 * GATEWAY_LOOKUP_SECONDS
    assert slowest < UNDO_STEP.total_seconds()


def test_a_step_is_tried_again_after_twice_the_time_up_to_a_limit() -> None:
    pauses = [step_backoff(attempt).total_seconds() for attempt in range(1, 7)]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert STEP_RETRY.maximum_attempts == 3


def test_a_beat_may_be_lost_or_a_second_late() -> None:
    assert timedelta(seconds=1) <= HEARTBEAT_TIMEOUT - HEARTBEAT_INTERVAL
    assert HEARTBEAT_TIMEOUT > 2 * HEARTBEAT_INTERVAL
    # The SDK's own limit would keep the second of three beats back.
    assert HEARTBEAT_INTERVAL < 0.8 * HEARTBEAT_TIMEOUT


def test_every_activity_is_missed_when_its_worker_dies() -> None:
    services = Path(__file__).parents[3] / "services"
    for config in (UNDO, FORGET_ROWS, FORGET_HISTORIES):
        assert config["heartbeat_timeout"] == HEARTBEAT_TIMEOUT
    calls = [
        (path.name, call.lineno, {word.arg or _name(word.value) for word in call.keywords})
        for path in services.glob("*/src/**/*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr.startswith(("execute_activity", "start_activity"))
        # An interceptor's, which runs the activity itself.
        and ast.unparse(call.func.value) == "workflow"
    ]
    assert calls
    # `undo` is UNDO on another queue, `_undo` is UNDO with a summary.
    named = {"_undo", "undo", "FORGET_ROWS", "FORGET_HISTORIES"}
    with_heartbeat = {"heartbeat_timeout", *named}
    assert [call[:2] for call in calls if not call[2] & with_heartbeat] == []


def _name(value: ast.expr) -> str:
    return ast.unparse(value.func if isinstance(value, ast.Call) else value)
