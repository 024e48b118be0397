"""Watch the release every second, in the background: replicas, and the scalers' signals."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx

from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.prometheus import Address

_EVERY: Final = 1.0
_PATIENCE: Final = 5.0
# The window of 30 s, then a round of the autoscaler of 15 s for each pod, and as much again.
_DOWN_SECONDS: Final = 150.0


@dataclass(frozen=True)
class Look:
    """The state at a moment; a value is None unless Prometheus has exactly one series."""

    at: float
    replicas: dict[str, int]
    """The desired replicas of a service's Deployment."""
    ready: dict[str, int]
    values: dict[str, float | None]


@dataclass(frozen=True)
class Trigger:
    """A trigger of a ScaledObject: KEDA's own query, and the threshold for each pod."""

    query: str
    threshold: float


@dataclass(frozen=True)
class Watch:
    namespace: Namespace
    http: httpx.Client
    prometheus: Address
    queries: Mapping[str, str]
    looks: list[Look] = field(default_factory=list)

    def look(self) -> Look:
        path = f"/apis/apps/v1/namespaces/{self.namespace.name}/deployments"
        answer = self.http.get(path)
        answer.raise_for_status()
        services = {_component(deployment): deployment for deployment in answer.json()["items"]}
        return Look(
            time.time(),
            {name: found["spec"]["replicas"] for name, found in services.items()},
            {name: found["status"].get("readyReplicas", 0) for name, found in services.items()},
            {name: self.ask(query) for name, query in self.queries.items()},
        )

    def ask(self, query: str, at: float | None = None) -> float | None:
        rows = self.rows(query, at)
        return float(rows[0]["value"][1]) if rows and len(rows) == 1 else None

    def rows(self, query: str, at: float | None = None) -> list[Json] | None:
        """Evaluate a query, now or at a time; None without an answer of Prometheus."""
        params = {"query": query} if at is None else {"query": query, "time": str(at)}
        try:
            answer = self.http.get(f"{self.prometheus.path}/api/v1/query", params=params)
        except httpx.TransportError:
            return None
        if not answer.is_success:
            return None
        rows: list[Json] = answer.json()["data"]["result"]
        return rows

    def since(self, began: float, until: float = math.inf) -> list[Look]:
        return [look for look in self.looks if began <= look.at <= until]

    def until(self, what: str, enough: Callable[[Look], bool], seconds: float) -> None:
        """Wait until a look from now on is enough."""
        began = time.time()
        wait_until(
            what,
            lambda: self.since(began)[-1:],
            lambda looks: any(enough(look) for look in looks),
            seconds,
        )

    def until_least(self, least: int, *services: str) -> None:
        """Wait until these services have come down to their least replicas."""
        self.until(
            f"the least replicas of {' and '.join(services)}",
            lambda look: all(look.replicas[service] == least for service in services),
            _DOWN_SECONDS,
        )

    def _keep_looking(self, stop: threading.Event) -> None:
        while not stop.wait(_EVERY):
            try:
                self.looks.append(self.look())
            except httpx.HTTPError:
                # The API server is busy; the next look is in a second.
                continue


@contextmanager
def watching(
    namespace: Namespace, prometheus: Address, queries: Mapping[str, str]
) -> Iterator[Watch]:
    """Watch until the block ends."""
    stop = threading.Event()
    with (
        namespace.cluster.proxied() as url,
        httpx.Client(base_url=url, trust_env=False, timeout=_PATIENCE) as http,
    ):
        watch = Watch(namespace, http, prometheus, queries)
        thread = threading.Thread(target=watch._keep_looking, args=(stop,))
        thread.start()
        try:
            yield watch
        finally:
            stop.set()
            thread.join()


def triggers(manifests: Iterable[Json]) -> dict[str, Trigger]:
    """Return the Prometheus triggers of a release, by `<component> <name>`."""
    return {
        f"{_component(scaled)} {trigger['name']}": Trigger(
            trigger["metadata"]["query"], float(trigger["metadata"]["threshold"])
        )
        for scaled in manifests
        if scaled["kind"] == "ScaledObject"
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    }


def lacking(namespace: Namespace, mode: str) -> set[str]:
    """Return the services of which the scaler lacks a signal."""
    if mode == "keda":
        kind, condition, without = "scaledobjects", "Fallback", "True"
    else:
        kind, condition, without = "hpa", "ScalingActive", "False"
    return {
        _component(scaler)
        for scaler in namespace.get(kind)
        for is_ in scaler["status"].get("conditions", ())
        if is_["type"] == condition and is_["status"] == without
    }


def _component(manifest: Json) -> str:
    component: str = manifest["metadata"]["labels"]["app.kubernetes.io/component"]
    return component
