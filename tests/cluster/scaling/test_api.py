"""Requests scale the API, and nothing else."""

from typing import Final

import pytest

from tests.cluster.scaling.conftest import LEAST, POD_SLOTS, WORKERS
from tests.cluster.scaling.support import courses
from tests.cluster.scaling.support.results import Results
from tests.cluster.scaling.support.watching import Trigger, Watch
from tests.cluster.support import images
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import Release
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

# 32 requests a second, at a target of 10 a pod. The signal is the mean of a minute: it passes what
# two pods are good for, 20 and a tenth, after 41 s, and 45 s of load were sometimes too few.
_LOAD: Final = Load(rate=1, seconds=70, looks=31, refusable=True)


async def test_requests_scale_the_api_alone(
    release: Release, watch: Watch, asked: dict[str, Trigger], steps: Steps, results: Results
) -> None:
    with steps.step("32 requests a second") as step:
        began = watch.looks[-1].at
        with flow(release, "plain-f", images.OLD, _LOAD) as placed:
            pass
        placed.show(step)
        placed.check()
        placed.check_refusals()
        looks = watch.since(began)
        for service in WORKERS:
            assert courses.unasked(watch, looks, service, POD_SLOTS) == [], service
        assert courses.most(looks, "api") > LEAST
        step.saw(api_replicas=courses.most(looks, "api"))
        results.add("Requests scale the API alone", step.seen, looks, {}, values="requests used")
