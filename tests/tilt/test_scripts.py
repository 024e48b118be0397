"""Every name in the buttons' scripts exists."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.chart.rendering import ROOT, named
from tests.tilt.recorder import Tilt, evaluate
from tests.tilt.repository import assert_target

pytestmark = pytest.mark.needs("helm")

SCRIPTS: Final = {path.name: path.read_text() for path in sorted(ROOT.glob("tilt/*.sh"))}
ALL: Final = "\n".join(SCRIPTS.values())
# As kubectl takes them: kind/name or kind name; not those with a variable in them.
OBJECT: Final = re.compile(r"\b(configmap|deployment|secret|statefulset)[/ ](orderfleet[a-z-]*)\b")


@pytest.fixture(scope="module")
def tilt() -> Tilt:
    return evaluate()


def test_objects(tilt: Tilt) -> None:
    there = {(manifest["kind"].lower(), manifest["metadata"]["name"]) for manifest in tilt.objects}
    asked = set(OBJECT.findall(ALL))
    assert {kind for kind, _ in asked} == {"deployment", "secret", "statefulset"}
    assert asked <= there
    (namespace,) = (
        manifest["metadata"]["name"] for manifest in tilt.objects if manifest["kind"] == "Namespace"
    )
    assert f" --namespace {namespace} " in SCRIPTS["kubectl.sh"]


@pytest.mark.parametrize(
    ("current", "given", "taken"),
    [
        ("kind-shop", "", "kind-shop"),
        ("minikube", "", "minikube"),
        ("shop", "shop", "shop"),
        ("production", "kind-shop", "kind-shop"),
        ("production", "", None),
        ("not-minikube", "", None),
    ],
)
def test_only_a_local_cluster_or_a_named_one(
    tmp_path: Path, current: str, given: str, taken: str | None
) -> None:
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\n[ "$1" = config ] && echo {current} || echo "$@"\n')
    program.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CONTEXT": given}
    command = [str(ROOT / "tilt/kubectl.sh"), "get", "pods"]
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True)
    if taken is None:
        assert done.returncode == 2
        assert done.stdout == ""
        assert f"set CONTEXT={current}" in done.stderr
    else:
        assert done.stdout == f"--context {taken} --namespace orderfleet-dev get pods\n"


def test_programs_and_targets() -> None:
    here = set(re.findall(r"(?<![.\w])\./([\w-]+\.sh)", ALL))
    files = {f"tilt/{name}" for name in here}
    files |= set(re.findall(r"^(?:exec )?((?:k8s|services|tilt)/\S+\.sh)", ALL, re.MULTILINE))
    assert {"tilt/kubectl.sh", "tilt/cli.sh", "services/images.sh"} <= files
    assert [name for name in sorted(files) if not os.access(ROOT / name, os.X_OK)] == []
    (program,) = re.findall(r"python3 (\S+)", ALL)
    assert (ROOT / program).exists()
    targets = set(re.findall(r"make --silent (?:--directory \.\. )?(\S+)", ALL))
    assert targets == {".venv/.run-stamp"}
    for target in targets:
        assert_target(target)


def test_ports(tilt: Tilt) -> None:
    local = {
        (name, port["container"]): f"127.0.0.1:{port['local']}"
        for name, resource in tilt.resources.items()
        for port in resource.port_forwards
    }
    for script in ("order.sh", "cancel.sh"):
        assert f"http://{local['api', 8000]}}}" in SCRIPTS[script]
    assert f"TEMPORAL_ADDRESS:-{local['temporal', 7233]}}}" in SCRIPTS["reset.sh"]
    laptop = SCRIPTS["laptop.sh"]
    assert f" TEMPORAL_ADDRESS={local['temporal', 7233]} " in laptop
    assert f"/{local['postgres', 5432]}}}" in laptop
    assert f"=http://{local['jaeger', 4317]}\n" in laptop
    own = set(re.findall(r"_PORT=(\d+)", laptop))
    assert len(own) == 2
    assert not own & {address.partition(":")[2] for address in local.values()}


def test_the_laptop_has_the_settings_of_the_cluster(tilt: Tilt) -> None:
    laptop = SCRIPTS["laptop.sh"]
    (address,) = re.findall(r"DATABASE_URL/([\w:-]+)/", laptop)
    for image in tilt.images:
        assert named(tilt.objects, "Deployment", image.ref)
        assert f"@{address}/" in named(tilt.objects, "ConfigMap", image.ref)["data"]["DATABASE_URL"]
    (key,) = re.findall(r'index \.data "([\w-]+)"', laptop)
    assert key in named(tilt.objects, "Secret", "orderfleet-postgres")["stringData"]


def test_a_reset_forgets_every_table_and_all_that_is_of_orders() -> None:
    (tables,) = re.findall(r"TRUNCATE (.+)'", SCRIPTS["reset.sh"])
    migrations = text_of("services/core/src/orderfleet/store/migrations", "*.sql")
    assert sorted(tables.split(", ")) == sorted(re.findall(r"CREATE TABLE (\S+) \(", migrations))
    (types,) = re.findall(r"WorkflowType IN \((.+)\)", SCRIPTS["reset.sh"])
    classes = re.findall(r"@workflow\.defn.*\nclass (\w+)", text_of("services", "*/src/**/*.py"))
    # The schedule stays.
    assert set(re.findall(r"\w+", types)) == set(classes) - {"ReconcileOrders", "SettleOrders"}


def text_of(directory: str, pattern: str) -> str:
    paths: list[Path] = sorted((ROOT / directory).glob(pattern))
    return "\n".join(path.read_text() for path in paths)
