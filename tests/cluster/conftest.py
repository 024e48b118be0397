"""One release for all tests, which run in the order of their files, each on what the last one left.

    make test-cluster              on the cluster of the current context
    make test-cluster KEEP=1       and leave the namespaces

The context has to be a local cluster's by its name, or ORDERFLEET_TEST_CONTEXT has to name it.
BUILDER, REGISTRY, TAG and BUILD_ARGS are those of `make images`, LOAD is a command that takes an
image to the cluster (see support/images.py). PROMETHEUS is namespace/service:port of one in the
cluster that scrapes annotated pods, such as monitoring/prometheus:9090; what needs it is skipped
without. A step alone, after the installation: `make test-cluster PYTEST_ARGS="-k upgrade"`.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

# Before they are imported, so that their asserts tell what they saw.
pytest.register_assert_rewrite("tests.cluster.support")

from tests.cluster.support import images  # noqa: E402
from tests.cluster.support.cluster import Cluster, Namespace, NotOursError  # noqa: E402
from tests.cluster.support.diagnosis import diagnosis  # noqa: E402
from tests.cluster.support.release import Release  # noqa: E402
from tests.cluster.support.steps import Steps  # noqa: E402
from tests.images.services import ROOT  # noqa: E402

_STEPS: Final = pytest.StashKey[Steps]()
_NAMESPACES: Final = pytest.StashKey[list[Namespace]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_STEPS] = Steps()
    config.stash[_NAMESPACES] = []


@pytest.fixture(scope="session")
def steps(request: pytest.FixtureRequest) -> Steps:
    return request.config.stash[_STEPS]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    try:
        return Cluster.current(tmp_path_factory.mktemp("cluster"))
    except NotOursError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture(scope="session")
def new_namespace(
    request: pytest.FixtureRequest, cluster: Cluster
) -> Iterator[Callable[[str], Namespace]]:
    """Make namespaces; they are deleted at the end unless KEEP=1."""
    made = request.config.stash[_NAMESPACES]

    def make(name: str) -> Namespace:
        made.append(cluster.namespace(name))
        return made[-1]

    yield make
    if os.environ.get("KEEP") != "1":
        cluster.delete(made)


@pytest.fixture(scope="session")
def built(cluster: Cluster, steps: Steps) -> None:
    """Build and load both versions."""
    with steps.step("build and load two versions of three images") as step:
        images.build(ROOT, images.OLD)
        with TemporaryDirectory() as directory:
            images.build(images.changed_copy(Path(directory)), images.NEW)
        for tag in (images.OLD, images.NEW):
            images.load(tag)
        step.saw(tags=f"{images.OLD} {images.NEW}")


@pytest.fixture(scope="session")
def release(built: None, new_namespace: Callable[[str], Namespace], steps: Steps) -> Release:
    """Install with no values but the version, and place the order of `helm test`."""
    installed = Release(new_namespace("first"))
    with steps.step("helm install and helm test, Pod Security restricted") as step:
        installed.install(images.values(images.OLD))
        said = installed.test()
        assert "fulfilled" in said, said
        step.saw(namespace=installed.namespace.name, pods=len(installed.namespace.pods()))
    return installed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Tell with a failure how the cluster was at that moment: its namespaces are deleted later."""
    report: pytest.TestReport = yield  # type: ignore[assignment]  # what a wrapper is sent
    if report.failed:
        for namespace in item.config.stash[_NAMESPACES]:
            report.sections.append(("cluster", diagnosis(namespace)))
    return report  # type: ignore[return-value]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    steps = config.stash[_STEPS]
    if steps.done:
        terminalreporter.section("what was done and seen")
        for step in steps.done:
            terminalreporter.line(step.line)
        table = ROOT / f".data/test-{Path(config.args[0]).name}.json"
        steps.write(table)
        terminalreporter.line(f"also in {table.relative_to(ROOT)}")
