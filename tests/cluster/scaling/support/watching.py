"""Look at the release every second, in the background: replicas, and what the scalers are told."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx

from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.prometheus import Address

_EVERY: Final = 1.0
_PATIENCE: Final = 5.0


@dataclass(frozen=True)
class Look:
    """What was there at a moment; a value is None where Prometheus has no single one."""

    at: float
    replicas: dict[str, int]
    """What the Deployment of a service is asked to have."""
    ready: dict[str, int]
    values: dict[str, float | None]


@dataclass(frozen=True)
class Trigger:
    """A trigger of a ScaledObject: KEDA's own query, and what one pod is good for."""

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
        found = self.http.get(path)
        found.raise_for_status()
        services = {_component(one): one for one in found.json()["items"]}
        return Look(
            time.time(),
            {name: one["spec"]["replicas"] for name, one in services.items()},
            {name: one["status"].get("readyReplicas", 0) for name, one in services.items()},
            {name: self.ask(query) for name, query in self.queries.items()},
        )

    def ask(self, query: str, at: float | None = None) -> float | None:
        rows = self.rows(query, at)
        return float(rows[0]["value"][1]) if rows and len(rows) == 1 else None

    def rows(self, query: str, at: float | None = None) -> list[Json] | None:
        """Evaluate a query, now or as of a time; None if there is no Prometheus."""
        params = {"query": query} if at is None else {"query": query, "time": str(at)}
        try:
            found = self.http.get(f"{self.prometheus.path}/api/v1/query", params=params)
        except httpx.TransportError:
            return None
        if not found.is_success:
            return None
        rows: list[Json] = found.json()["data"]["result"]
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

    def _keep_looking(self, stop: threading.Event) -> None:
        while not stop.wait(_EVERY):
            try:
                self.looks.append(self.look())
            except httpx.HTTPError:
                # The API server is busy; the next look is a second away.
                continue


@contextmanager
def watching(
    namespace: Namespace, prometheus: Address, queries: Mapping[str, str]
) -> Iterator[Watch]:
    """Look until the block ends."""
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


def triggers(namespace: Namespace) -> dict[str, Trigger]:
    """Return the Prometheus triggers of the release by `<component> <name>`, as they are live."""
    return {
        f"{_component(scaled)} {one['name']}": Trigger(
            one["metadata"]["query"], float(one["metadata"]["threshold"])
        )
        for scaled in namespace.get("scaledobjects")
        for one in scaled["spec"]["triggers"]
        if one["type"] == "prometheus"
    }


def fallbacks(namespace: Namespace) -> set[str]:
    """Return the services of which KEDA lacks a signal."""
    return {
        _component(scaled)
        for scaled in namespace.get("scaledobjects")
        for one in scaled["status"].get("conditions", ())
        if one["type"] == "Fallback" and one["status"] == "True"
    }


def _component(found: Json) -> str:
    component: str = found["metadata"]["labels"]["app.kubernetes.io/component"]
    return component
