"""What the doctor says about the builds of a queue, and which build a rollback goes back to."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orderfleet.versions.deployments import Deployment, Version, VersionStatus, VersionSummary
from orderfleet.versions.view import UNVERSIONED, QueueView, VersionView
from orderfleet_cli.doctor.check_versions import judge
from orderfleet_cli.versions.route import build_before

# When the lists of versions below are made, which may be minutes before their test runs.
_START = datetime.now(UTC)
_CURRENT, _RAMPING = VersionStatus.CURRENT, VersionStatus.RAMPING
_DRAINING, _INACTIVE = VersionStatus.DRAINING, VersionStatus.INACTIVE


def _ago(minutes: float) -> datetime:
    return _START - timedelta(minutes=minutes)


def _later(since: datetime | None) -> datetime | None:
    return since and since + (datetime.now(UTC) - _START)


def _view(
    build: str,
    status: VersionStatus,
    *,
    share: float = 0,
    pollers: int = 2,
    orders: int | None = 0,
    minutes: float = 1,
) -> VersionView:
    since = _ago(minutes)
    deployment = "" if build == UNVERSIONED else "orders-tq"
    return VersionView(deployment, build, status, share, pollers, orders, since)


@pytest.mark.parametrize(
    ("versions", "ok", "found"),
    [
        ([], True, "off: no worker of this queue is versioned"),
        ([_view("new", _CURRENT, share=1)], True, "build new is current"),
        (
            [
                _view("old", _CURRENT, share=0.9),
                _view("new", _RAMPING, share=0.1, minutes=1),
                _view("older", _DRAINING, pollers=0),
            ],
            True,
            "build old is current, build new has been ramping with 10%",
        ),
        (
            [_view("old", _CURRENT, share=0.9), _view("new", _RAMPING, share=0.1, minutes=6)],
            False,
            "build new has been ramping with 10% for ",
        ),
        (
            [
                _view("old", _CURRENT, share=0.9),
                _view("new", _RAMPING, share=0.1, pollers=0),
            ],
            False,
            "no worker of build new polls, which takes 10% of the new orders",
        ),
        (
            [_view("old", _CURRENT, share=1, pollers=0), _view("new", _INACTIVE)],
            False,
            "no worker of build old polls, which takes 100% of the new orders",
        ),
        (
            [_view("new", _CURRENT, share=1), _view("old", _DRAINING, pollers=0, orders=3)],
            False,
            "no worker polls for 3 orders on build old",
        ),
        (
            [
                _view(UNVERSIONED, _CURRENT, share=1, pollers=0, orders=None),
                _view("new", _INACTIVE),
            ],
            False,
            "no build is current, and all workers are versioned: new orders wait",
        ),
        (
            [_view(UNVERSIONED, _CURRENT, share=1, orders=None), _view("new", _INACTIVE)],
            True,
            "build unversioned is current",
        ),
    ],
)
def test_the_doctor_names_what_is_wrong_with_the_builds(
    versions: list[VersionView], ok: bool, found: str
) -> None:
    now = [replace(version, since=_later(version.since)) for version in versions]
    finding = judge(QueueView("orders-tq", 2, now))
    assert (finding.name, finding.ok) == ("versions of orders-tq", ok)
    # The seconds of the ramp.
    assert re.sub(r"\d+ s$", "", finding.found) == found
    assert ok or "orderfleet versions" in finding.fix


def _summary(build: str, created: int, current: int | None) -> VersionSummary:
    """Return a version that was created, and last became current, so many minutes ago."""
    return VersionSummary(
        Version("orders-tq", build),
        _CURRENT if build == "now" else _DRAINING,
        _ago(created),
        current_since=None,
        ramping_since=None,
        retired=None,
        last_current=None if current is None else _ago(current),
    )


def test_a_rollback_goes_to_an_older_build_that_was_current() -> None:
    older, old = _summary("older", 90, 80), _summary("old", 60, 50)
    tried, now, bad = _summary("tried", 40, None), _summary("now", 30, 20), _summary("bad", 10, 9)
    for versions, build in (
        ([bad, now, tried, old, older], "old"),
        ([now, older], "older"),
        ([bad, now, tried], ""),
        ([old], ""),
        ([], ""),
    ):
        deployment = Deployment("orders-tq", current="now", versions=tuple(versions))
        assert build_before(deployment) == build
