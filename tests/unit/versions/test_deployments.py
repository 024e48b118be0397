"""Names of deployments and versions of servers."""

import pytest

from orderfleet.versions.deployments import Version, deployment_name, is_recent


@pytest.mark.parametrize(
    ("task_queue", "name"),
    [("orders-tq", "orders-tq"), ("orders.tq:eu", "orders-tq-eu")],
)
def test_a_deployment_is_named_after_its_task_queue(task_queue: str, name: str) -> None:
    assert deployment_name(task_queue) == name


def test_a_version_reads_as_its_search_attribute() -> None:
    assert str(Version("orders-tq", "0123456789ab")) == "orders-tq:0123456789ab"


@pytest.mark.parametrize(
    ("server", "recent"),
    [
        ("1.29.0", True),
        ("1.29.0-rc.1", True),
        ("v1.32.0", True),
        ("2.0.0", True),
        ("1.28.3", False),
        ("1.9.9", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_worker_deployments_need_server_1_29(server: str, recent: bool) -> None:
    assert is_recent(server) is recent
