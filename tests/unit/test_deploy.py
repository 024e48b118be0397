"""`make deploy`: what it refuses, and how it gets images to each kind of cluster."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
IMAGES: Final = [f"orderfleet-{name}" for name in ("api", "order-worker", "shipping-worker")]
# What the script may use of this machine: no real cluster and no real builder is near.
PROGRAMS: Final = [
    "bash",
    "cat",
    "cut",
    "dirname",
    "env",
    "find",
    "git",
    "mktemp",
    "rm",
    "sed",
    "sort",
]
# Each notes how it was called; kubectl knows the context, and fails with `no-cluster` there.
STAND_IN: Final = """#!/bin/sh
echo "${0##*/} $*" >>"$CALLS"
case "${0##*/} $*" in
"kubectl config current-context") [ -n "$CONTEXT" ] && echo "$CONTEXT" ;;
kubectl*/readyz*) [ ! -e "$CALLS.no-cluster" ] ;;
helm*) [ ! -e "$CALLS.no-helm" ] ;;
esac
"""


class Machine:
    """A checkout, and a PATH with stand-ins."""

    def __init__(self, directory: Path) -> None:
        self.checkout = directory / "checkout"
        self.bin = directory / "bin"
        self.calls_file = directory / "calls"
        self.bin.mkdir()
        self.calls_file.touch()
        for name in (
            "k8s/deploy.sh",
            "k8s/load.sh",
            "k8s/local_context.sh",
            "services/images.sh",
            "services/api/pyproject.toml",
        ):
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.checkout / name)
        # Building has tests of its own.
        self.write("services/images.sh", '#!/bin/sh\necho "images.sh $TAG $IMAGES" >>"$CALLS"\n')
        self.write("LICENSE", "")
        self.write("services/api/src/orderfleet_api/main.py", "")
        self.write("services/Dockerfile", "FROM scratch\n")
        for name in PROGRAMS:
            found = shutil.which(name)
            assert found, name
            (self.bin / name).symlink_to(found)
        self.install("kubectl", "helm", "docker")

    def write(self, name: str, text: str) -> None:
        path = self.checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def install(self, *names: str) -> None:
        for name in names:
            (self.bin / name).write_text(STAND_IN)
            (self.bin / name).chmod(0o755)

    def __call__(
        self, context: str, settings: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        self.calls_file.write_text("")
        env = {"PATH": str(self.bin), "CONTEXT": context, "CALLS": str(self.calls_file)}
        return subprocess.run(
            [self.checkout / "k8s/deploy.sh"],
            env=env | dict(settings or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines()

    def refuses(self, context: str, **settings: str) -> str:
        """Return the one line, for which nothing was built and nothing was changed."""
        done = self(context, settings)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert all(call.startswith("kubectl ") for call in self.calls), self.calls
        (line,) = done.stderr.splitlines()
        return line.removeprefix("deploy: ").removeprefix("load: ")

    def deploys(self, context: str, **settings: str) -> list[str]:
        """Return the calls from the build on."""
        done = self(context, settings)
        assert done.returncode == 0, done
        return [call for call in self.calls if not call.startswith("kubectl ")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("context", ["production", "arn:aws:eks:eu-1:1:cluster/a", "my-kind-a"])
def test_a_cluster_that_is_not_local_by_its_name(context: str, machine: Machine) -> None:
    assert machine.refuses(context) == (
        f"context {context} is not a local cluster by its name: if it is the right one, say"
        f" YES={context}"
    )
    assert machine.deploys(context, YES=context, REGISTRY="registry.example.com/shop", TAG="1")


@pytest.mark.parametrize("context", ["production", "kind-kind"])
def test_a_yes_to_another_cluster(context: str, machine: Machine) -> None:
    machine.install("kind")
    told = machine.refuses(context, YES="kind-other", LOAD="docker")
    assert told == f"YES=kind-other, but the current context is {context}"


def test_no_cluster(machine: Machine) -> None:
    assert machine.refuses("").startswith("kubectl has no current context: ")
    Path(f"{machine.calls_file}.no-cluster").touch()
    told = machine.refuses("docker-desktop")
    assert told.startswith("the cluster of context docker-desktop does not answer: ")


@pytest.mark.parametrize("tool", ["kubectl", "helm", "docker"])
def test_a_tool_that_is_missing(tool: str, machine: Machine) -> None:
    (machine.bin / tool).unlink()
    assert machine.refuses("docker-desktop").startswith(f"{tool} is not installed: ")


@pytest.mark.parametrize(
    ("context", "tool"),
    [("kind-a", "kind"), ("k3d-a", "k3d"), ("minikube", "minikube")],
)
def test_the_cluster_s_own_tool_is_missing(context: str, tool: str, machine: Machine) -> None:
    assert machine.refuses(context).startswith(f"{tool} is not installed: ")


def test_no_way_for_the_images(machine: Machine) -> None:
    machine.install("podman")
    assert machine.refuses("production", YES="production").startswith("no way is known ")
    assert "BUILDER=podman" in machine.refuses("docker-desktop", BUILDER="podman")
    assert machine.refuses("docker-desktop", LOAD="lode").startswith("lode is not installed: ")


@pytest.mark.parametrize(
    ("context", "builder", "expected"),
    [
        ("kind-a-b", "docker", ["kind load docker-image --name a-b {images}"]),
        ("kind-a", "podman", ["kind load image-archive --name a {archive}"]),
        ("kind-a", "buildah", ["kind load image-archive --name a {archive}"]),
        ("k3d-a", "docker", ["k3d image import --cluster a {images}"]),
        ("k3d-a", "podman", ["k3d image import --cluster a {archive}"]),
        ("minikube", "docker", ["minikube image load --profile minikube {images}"]),
        ("minikube", "podman", ["minikube image load --profile minikube {archive}"]),
        ("docker-desktop", "docker", []),
    ],
)
def test_images_get_to_the_cluster(
    context: str, builder: str, expected: list[str], machine: Machine
) -> None:
    machine.install("kind", "k3d", "minikube", builder)
    build, *loads, install = machine.deploys(context, TAG="1", BUILDER=builder)
    images = [f"docker.io/library/{name}:1" for name in IMAGES]
    assert build == "images.sh 1 api order_worker shipping_worker"
    assert install.startswith(
        f"helm upgrade --install orderfleet charts/orderfleet"
        f" --kube-context {context} --namespace orderfleet "
    )
    saved = [call for call in loads if call.startswith(builder)]
    told = [call for call in loads if not call.startswith(builder)]
    if "archive" in "".join(expected):
        # An archive for each, by a name of its own directory.
        assert [image for image in images for call in saved if image in call] == images
        wanted = expected[0].removesuffix("{archive}")
        assert [call[: len(wanted)] for call in told] == [wanted] * len(images)
        assert all(call.endswith("/image.tar") for call in told)
    else:
        assert saved == []
        assert told == [line.format(images=" ".join(images)) for line in expected]


def test_a_registry(machine: Machine) -> None:
    registry = "registry.example.com:5000/shop"
    _, *pushes, install = machine.deploys("kind-a", TAG="1", REGISTRY=registry)
    assert pushes == [f"docker push {registry}/{name}:1" for name in IMAGES]
    for key, name in zip(("api", "orderWorker", "shippingWorker"), IMAGES, strict=True):
        assert f" --set-string {key}.image.tag=1 " in install
        assert f" --set-string {key}.image.repository={registry}/{name}" in install


def test_a_command_of_one_s_own(machine: Machine) -> None:
    machine.install("lode")
    settings = {"YES": "test", "LOAD": "lode --here", "NAMESPACE": "shop", "TAG": "1"}
    _, load, install = machine.deploys("test", **settings, HELM_ARGS="--values a.yaml --debug")
    images = [f"docker.io/library/{name}:1" for name in IMAGES]
    assert load == f"lode --here {' '.join(images)}"
    assert " --namespace shop --create-namespace --wait --timeout 5m " in install
    assert install.endswith(" --values a.yaml --debug")
    assert "image.repository" not in install


def test_another_content_is_another_tag(machine: Machine) -> None:
    def tag() -> str:
        return machine.deploys("docker-desktop")[0].split()[1]

    first = tag()
    version = (ROOT / "services/api/pyproject.toml").read_text().split('version = "')[1]
    assert first.startswith(version.partition('"')[0] + "-")
    # What is in no image does not replace a pod.
    machine.write("docs/readme.md", "new")
    machine.write("services/cli/src/orderfleet_cli/main.py", "new")
    machine.write("services/api/src/orderfleet_api/__pycache__/main.pyc", "new")
    assert tag() == first
    tags = [first]
    for name in (
        "api/src/orderfleet_api/main.py",
        "api/src/orderfleet_api/a.sql",
        "Dockerfile",
    ):
        machine.write(f"services/{name}", "new\n")
        tags.append(tag())
    assert len(set(tags)) == len(tags)


def test_helm_fails(machine: Machine) -> None:
    Path(f"{machine.calls_file}.no-helm").touch()
    done = machine("docker-desktop", {"TAG": "1"})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "deploy: not all is ready; see: kubectl --context docker-desktop --namespace orderfleet"
        " get pods,jobs"
    )
