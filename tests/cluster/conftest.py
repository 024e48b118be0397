"""Tests of the chart on a cluster: most share one release, some have a fleet of their own.

    make test-cluster              on the cluster of the current context
    make test-cluster KEEP=1       keep the namespaces, and with them the fleets

The context must have a local cluster's name, or ORDERFLEET_TEST_CONTEXT must equal it. BUILDER,
REGISTRY, TAG and BUILD_ARGS are those of `make images`, LOAD is a command that loads an image into
the cluster; suites of one version take that of an earlier run with LOADED=1 (see
support/images.py). PROMETHEUS is namespace/service:port of a Prometheus in the
cluster that scrapes annotated pods, such as monitoring/prometheus:9090; NETWORK_POLICIES=enforced
says that the cluster's network enforces them. Tests that need one of the two are skipped without.
JAEGER is namespace/service:port of a Jaeger's queries, which takes OTLP over HTTP at port 4318;
without it a trace is read from a collector of the test's own.

A test states what it needs: `release` is the shared release with no values but the version,
`release_with(values)` the same with other values, installed or upgraded if necessary;
`own_namespace` is for a fleet of the module's own. So each file and each test also runs by itself:
`make test-cluster PYTEST_ARGS="-k upgrade"`. The order only saves time: fleets of their own come
first, as a node of two cores has room for one fleet, and the file whose values replace all pods is
the last.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import pytest

# Before their import, so that pytest explains their assertions.
pytest.register_assert_rewrite("tests.cluster.support")

from tests.cluster.support import images  # noqa: E402
from tests.cluster.support.cluster import Cluster, Namespace, NotOursError  # noqa: E402
from tests.cluster.support.diagnosis import diagnosis  # noqa: E402
from tests.cluster.support.release import Release  # noqa: E402
from tests.cluster.support.steps import Steps  # noqa: E402
from tests.images.services import ROOT  # noqa: E402

ReleaseWith: TypeAlias = Callable[[Mapping[str, Any]], Release]

_STEPS: Final = pytest.StashKey[Steps]()
_KEEP: Final = os.environ.get("KEEP") == "1"
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
    if not _KEEP:
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
def shared(built: None, new_namespace: Callable[[str], Namespace]) -> Release:
    """The shared release as it is, installed or not."""
    return Release(new_namespace("first"))


@pytest.fixture(scope="session")
def release_with(shared: Release, steps: Steps) -> ReleaseWith:
    """Return the shared release with these values; install or upgrade it unless it has them."""

    def bring(values: Mapping[str, Any]) -> Release:
        if not shared.revisions:
            with steps.step("helm install, Pod Security restricted") as step:
                shared.install(values)
                step.saw(namespace=shared.namespace.name, pods=len(shared.namespace.pods()))
        elif shared.revisions[-1] != values:
            with steps.step("helm upgrade to the values of the next test"):
                shared.upgrade(values)
        return shared

    return bring


@pytest.fixture
def release(release_with: ReleaseWith) -> Release:
    """The shared release with no values but the version."""
    return release_with(images.values(images.OLD))


@pytest.fixture(scope="module")
def own_namespace(
    shared: Release,
    cluster: Cluster,
    new_namespace: Callable[[str], Namespace],
    request: pytest.FixtureRequest,
) -> Iterator[Namespace]:
    """A namespace for a fleet of the module's own, which has the node for itself."""
    if shared.revisions:
        shared.uninstall()
    namespace = new_namespace(request.module.__name__.rpartition(".test_")[2].replace("_", "-"))
    yield namespace
    if not _KEEP:
        cluster.delete([namespace])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with a fleet of their own first: the shared release is then installed once."""
    items.sort(key=lambda item: "own_namespace" not in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add the state of the cluster to a failure: the namespaces are deleted later."""
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
