"""No secret is anywhere but in a Secret."""

import base64
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.chart.rendering import VALUES, Object, objects_of, pods, render, title

pytestmark = pytest.mark.needs("helm")


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    else:
        yield str(value)


def secrets(objects: list[Object]) -> list[Object]:
    return [found for found in objects if found["kind"] == "Secret"]


@pytest.mark.parametrize("name", VALUES)
def test_what_is_made_is_only_in_its_secret(name: str) -> None:
    objects = objects_of(name)
    made = [
        value
        for secret in secrets(objects)
        for encoded in secret["data"].values()
        for value in (encoded, base64.b64decode(encoded).decode())
    ]
    assert all(len(value) >= 32 for value in made)
    elsewhere = "\n".join(
        text for found in objects if found["kind"] != "Secret" for text in texts(found)
    )
    assert not [value for value in made if value in elsewhere]


def test_what_is_made_is_random() -> None:
    first, second = (secrets(render()) for _ in range(2))
    values = [value for secret in first + second for value in secret["data"].values()]
    assert len(values) == len(set(values)) == 16


_FILES: Final = {
    *("passwords", "postgres-password", "api-keys", "temporal-api-key", "payload-keys"),
}


def references(objects: list[Object]) -> set[tuple[str, str]]:
    """Return each secret's name and key that a pod takes, by its environment or a volume."""
    found = set()
    for pod in pods(objects):
        for volume in pod.spec.get("volumes", []):
            # Authorities and certificates are no secrets that the chart could make.
            if volume["name"] in _FILES:
                secret = volume["secret"]
                found |= {(secret["secretName"], item["key"]) for item in secret["items"]}
        for container in pod.containers():
            for variable in container.get("env", []):
                ref = variable.get("valueFrom", {}).get("secretKeyRef")
                if ref:
                    found.add((ref["name"], ref["key"]))
    return found


@pytest.mark.parametrize("name", VALUES)
def test_what_is_referred_to_is_made_or_given(name: str) -> None:
    objects = objects_of(name)
    made = {
        (secret["metadata"]["name"], key) for secret in secrets(objects) for key in secret["data"]
    }
    given = {
        "api-key": {("temporal-cloud", "token")},
        "backup-s3": {("fleet-s3", "access-key-id"), ("fleet-s3", "secret-access-key")},
        "external": {("fleet-postgres", "owner"), ("fleet-postgres", "fleet")}
        | {("fleet-api-keys", key) for key in ("keys", "key")}
        | {("fleet-payload-keys", "keys")},
        "external-postgres": {
            ("fleet-postgres", key) for key in ("owner-password", "fleet-password", "temporal")
        },
        "production-like": {
            ("fleet-postgres", f"{key}-password")
            for key in ("postgres", "owner", "fleet", "temporal")
        }
        | {("fleet-api-keys", key) for key in ("keys", "key")}
        | {("fleet-payload-keys", "keys")},
    }.get(name, set())
    assert references(objects) <= made | given
    assert given <= references(objects)


def test_nothing_is_made_where_all_is_given() -> None:
    for name in ("external", "production-like"):
        assert secrets(objects_of(name)) == []


@pytest.mark.parametrize("name", VALUES)
def test_no_secret_is_an_argument(name: str) -> None:
    """What the kubelet would put into an argument, `ps` would show."""
    for pod in pods(objects_of(name)):
        for container in pod.containers():
            taken = {
                variable["name"]
                for variable in container.get("env", [])
                if "secretKeyRef" in variable.get("valueFrom", {})
            }
            words = " ".join([*container.get("command", []), *container.get("args", [])])
            assert not [one for one in taken if f"$({one})" in words], pod.owner


@pytest.mark.parametrize("name", VALUES)
def test_each_variable_once(name: str) -> None:
    """Helm 4 applies at the server, which refuses a list that has a name twice."""
    twice = []
    for pod in pods(objects_of(name)):
        for container in pod.containers():
            names = [variable["name"] for variable in container.get("env", [])]
            twice += [
                f"{pod.owner}: {container['name']}: {one}"
                for one in set(names)
                if names.count(one) > 1
            ]
    assert twice == []


def test_every_secret_has_a_reader() -> None:
    objects = objects_of("default")
    for secret in secrets(objects):
        # A person reads this key: NOTES.txt.
        for key in secret["data"].keys() - {"operator-key"}:
            assert (secret["metadata"]["name"], key) in references(objects), title(secret)
