import pytest
import yaml

from tests.chart.rendering import VALUES, helm, objects_of, pods, render, template, title

pytestmark = pytest.mark.needs("helm")

PREFIX = "app.kubernetes.io/"
COMMON = {"example.com/team": "orders", "example.com/cost-center": "4711"}
# These are whatever the user writes.
EXTRA = {"orderfleet-as-object", "orderfleet-as-text"}


@pytest.mark.parametrize("name", VALUES)
def test_every_object_has_the_recommended_labels(name: str) -> None:
    for found in objects_of(name):
        if found["metadata"]["name"] in EXTRA:
            continue
        labels = found["metadata"]["labels"]
        assert labels[f"{PREFIX}name"] == "orderfleet", title(found)
        assert labels[f"{PREFIX}instance"] == "orderfleet"
        assert labels[f"{PREFIX}part-of"] == "orderfleet"
        assert labels[f"{PREFIX}managed-by"] == "Helm"
        assert labels.keys() >= {f"{PREFIX}component", f"{PREFIX}version", "helm.sh/chart"}


@pytest.mark.parametrize("name", VALUES)
def test_no_name_twice(name: str) -> None:
    titles = [title(found) for found in objects_of(name)]
    assert len(titles) == len(set(titles))


def test_common_labels_are_on_every_object_and_pod() -> None:
    objects = [one for one in objects_of("production-like") if one["metadata"]["name"] not in EXTRA]
    for found in objects:
        assert COMMON.items() <= found["metadata"]["labels"].items(), title(found)
    for pod in pods(objects):
        assert COMMON.items() <= pod.labels.items(), pod.owner


def test_a_common_label_does_not_replace_one_of_the_chart() -> None:
    own = {f"{PREFIX}name": "mine", f"{PREFIX}component": "mine"}
    for found in render({"global": {"commonLabels": own}, "api": {"podLabels": own}}):
        assert "mine" not in str(found), title(found)


@pytest.mark.parametrize("name", VALUES)
def test_selectors_select_their_own_pods_alone(name: str) -> None:
    objects = objects_of(name)
    everyone = list(pods(objects))
    for found in objects:
        spec = found.get("spec", {})
        if found["kind"] in {"Deployment", "StatefulSet", "PodDisruptionBudget"}:
            selector = spec["selector"]["matchLabels"]
        elif found["kind"] == "Service":
            selector = spec["selector"]
        elif found["kind"] == "NetworkPolicy":
            selector = spec["podSelector"]["matchLabels"]
        else:
            continue
        chosen = [pod for pod in everyone if selector.items() <= pod.labels.items()]
        assert len(chosen) == 1, title(found)


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("orderfleet", "orderfleet-api"),
        ("my-orderfleet", "my-orderfleet-api"),
        ("shop", "shop-orderfleet-api"),
    ],
)
def test_names_come_from_the_release(release: str, name: str) -> None:
    done = helm("template", release=release)
    assert f"\n  name: {name}\n" in done.stdout


# What Kubernetes and KEDA add to a name: the hash of a ReplicaSet and a pod, `keda-hpa-`.
ADDED_TO = {"Deployment", "StatefulSet", "ScaledObject"}


@pytest.mark.parametrize("length", [34, 35, 36, 53])
def test_no_name_is_too_long(length: int) -> None:
    name = "x" * length
    keda = {"mode": "keda", "prometheus": {"address": "http://prometheus:9090"}}
    for found in render({"global": {"fullnameOverride": name}, "autoscaling": keda}):
        longest = 52 if found["kind"] in ADDED_TO else 63
        assert len(found["metadata"]["name"]) <= longest, title(found)
        assert (found["metadata"]["name"].startswith(name)) == (length <= 35)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{'x' * 40}-a", f"{'x' * 40}-b"),
        (f"{'x' * 35}", f"{'x' * 36}"),
        ("shop.orderfleet", "shop-orderfleet"),
        (f"shop-orderfleet-{'x' * 20}", f"shop-orderfleet-{'x' * 20}-y"),
    ],
)
def test_two_releases_have_no_name_in_common(one: str, other: str) -> None:
    first, second = (
        {title(found) for found in yaml.safe_load_all(template(release=name)) if found}
        for name in (one, other)
    )
    assert not first & second
