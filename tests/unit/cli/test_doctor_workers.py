"""What the doctor says of a worker by its last heartbeat."""

from typing import Any

import pytest

from orderfleet.temporal.worker_views import Slots, WorkerView
from orderfleet_cli.doctor.check_workers import judge


def worker(status: str = "running", **more: Any) -> WorkerView:
    told: dict[str, Any] = {
        "task_queue": "orders-tq",
        "worker": "1@order-worker-1",
        "build": "abc",
        "status": status,
        "heartbeat_seconds_ago": 0.4,
        "up_seconds": 60.0,
        "workflow_slots": Slots(3, 100),
        "activity_slots": Slots(20, 100),
        "local_activity_slots": Slots(0, 100),
        "cached_workflows": 45,
        "cpu": 0.12,
    }
    return WorkerView(**told | more)


@pytest.mark.parametrize("status", ["running", "draining"])
def test_slots_cpu_build_and_cache_of_a_worker(status: str) -> None:
    finding = judge(worker(status))
    assert (finding.name, finding.ok) == ("worker 1@order-worker-1", True)
    assert finding.found == (
        f"{status} on orders-tq, build abc: workflow tasks 3 of 100, activities 20 of 100,"
        " 45 workflows cached, CPU 12%"
    )


def test_a_full_worker_is_bad_and_a_silent_one_is_unknown() -> None:
    assert judge(worker(activity_slots=Slots(100, 100))).ok is False
    silent = judge(worker("silent", heartbeat_seconds_ago=40.2))
    assert (silent.ok, silent.found) == (None, "silent for 40 s")
    assert "build unversioned" in judge(worker(build="")).found
