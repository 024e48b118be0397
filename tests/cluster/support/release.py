"""A release of the chart."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, Final
from urllib.parse import quote

import httpx
import yaml
from temporalio.client import Client

from orderfleet.settings import CommonSettings
from orderfleet.store.pool import Pool, open_pool
from orderfleet.temporal.client import connect
from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.shop import Shop
from tests.images.services import ROOT

CHART: Final = ROOT / "charts/orderfleet"
NAME: Final = "orderfleet"
SERVICES: Final = ("api", "order-worker", "shipping-worker")
# helm times out first, with the objects that it waited for.
_HELM_SECONDS: Final = 300
_WAIT: Final = ("--wait", "--wait-for-jobs")
_MORE: Final = 30
_GONE_SECONDS: Final = 90.0


@dataclass
class Release:
    namespace: Namespace
    postgres_pod: str = f"{NAME}-postgres-0"
    database: str = "orderfleet"
    # Of another release; None is the release's own.
    postgres: Namespace | None = None
    chart: Path = CHART
    # Files of values, which those of a revision override.
    files: tuple[Path, ...] = ()
    # The values of each revision, the last one live; empty while the release is not installed.
    revisions: list[Mapping[str, Any]] = field(default_factory=list)

    def install(self, values: Mapping[str, Any]) -> None:
        self._helm("install", NAME, str(self.chart), *self._values(values), *_WAIT)
        self.revisions.append(values)

    def upgrade(
        self, values: Mapping[str, Any], *, seconds: int = _HELM_SECONDS, force: bool = False
    ) -> None:
        """Change values; values that are not listed get the chart's defaults.

        With `force` also what somebody else has changed since, such as replicas by `kubectl scale`.
        """
        # For helm, an upgrade that fails is a revision, too.
        self.revisions.append(values)
        command = (
            "upgrade",
            NAME,
            str(self.chart),
            "--reset-values",
            *self._values(values),
            *_WAIT,
            *(["--force-conflicts"] if force else []),
        )
        self._helm(*command, seconds=seconds)

    def _values(self, values: Mapping[str, Any]) -> list[str]:
        return [*(f"--values={path}" for path in self.files), *_set(values)]

    def rollback(self, revision: int) -> None:
        self._helm("rollback", NAME, str(revision), *_WAIT)
        self.revisions.append(self.revisions[revision - 1])

    def render(self, values: Mapping[str, Any]) -> list[Json]:
        """Return the objects that these values would make."""
        text = self._helm("template", NAME, str(self.chart), *self._values(values))
        return [manifest for manifest in yaml.safe_load_all(text) if manifest]

    def test(self) -> str:
        return self._helm("test", NAME, "--logs")

    def uninstall(self) -> None:
        """Uninstall the release; its volume and its Secrets stay."""
        self._helm("uninstall", NAME, "--wait")
        self.revisions.clear()

    def _helm(self, *arguments: str, seconds: int = _HELM_SECONDS) -> str:
        options = (f"--namespace={self.namespace.name}", f"--timeout={seconds}s")
        return self.namespace.cluster.helm(*arguments, *options, seconds=seconds + _MORE)

    @property
    def key(self) -> str:
        """The generated key of the API."""
        return self.namespace.secret(f"{NAME}-api-keys")["key"]

    def change_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Change some of a Secret's values, as `kubectl edit` does."""
        patch = json.dumps({"stringData": values})
        self.namespace.kubectl("patch", "secret", name, f"--patch={patch}")

    def bring_secrets(self) -> None:
        """Make the kubelet bring Secrets to every pod at once, not at its next round."""
        pods = [pod["metadata"] for pod in self.namespace.get("pods")]
        # One that terminates may be gone by the next command.
        names = [pod["name"] for pod in pods if "deletionTimestamp" not in pod]
        annotation = f"test/now={token_hex(4)}"
        self.namespace.kubectl("annotate", "pods", *names, "--overwrite", annotation)

    def psql(self, sql: str, database: str = "") -> list[list[str]]:
        namespace = self.postgres or self.namespace
        return namespace.psql(sql, pod=self.postgres_pod, database=database or self.database)

    def services_pods(self) -> set[tuple[str, int]]:
        """Return the services' pods, with their restarts."""
        return {
            (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
            for service in SERVICES
            for pod in self.namespace.get("pods", component=service)
        }

    def running(self) -> dict[str, set[str]]:
        """Return the images of the services' pods, including terminating pods."""
        return {
            service: {
                pod["spec"]["containers"][0]["image"]
                for pod in self.namespace.get("pods", component=service)
            }
            for service in SERVICES
        }

    def until_all_run(self, tag: str) -> None:
        """Wait until the last pod of another version is gone."""
        wait_until(
            f"all pods on {tag}",
            self.running,
            lambda running: all(
                {image.rpartition(":")[2] for image in images} == {tag}
                for images in running.values()
            ),
            _GONE_SECONDS,
        )

    def delete_pod(self, pod: str) -> None:
        """Delete a pod as a drain of its node does, without waiting."""
        self.namespace.kubectl("delete", "pod", pod, "--wait=false")

    def until_replaced(self, component: str, uid: str, *, count: int = 1) -> list[str]:
        """Wait for `count` ready pods of a component, none of them the pod with this uid."""

        def ready() -> list[str]:
            return [
                pod["metadata"]["uid"]
                for pod in self.namespace.get("pods", component=component)
                if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
            ]

        return wait_until(
            f"{count} ready {component}",
            ready,
            lambda uids: len(uids) == count and uid not in uids,
            _HELM_SECONDS,
        )

    def uid(self, pod: str) -> str:
        return self.namespace.kubectl("get", "pod", pod, "--output=jsonpath={.metadata.uid}")

    @asynccontextmanager
    async def shop(self) -> AsyncIterator[Shop]:
        """Call the API as NOTES.txt says: through the Service, with the generated key."""
        async with (
            self.namespace.forwarded(f"service/{NAME}-api", 80) as port,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                headers={"authorization": f"Bearer {self.key}"},
                timeout=30,
                trust_env=False,
            ) as http,
        ):
            yield Shop(http)

    @asynccontextmanager
    async def books(self) -> AsyncIterator[Pool]:
        """Open Postgres with the fleet's own role."""
        password = quote(self.namespace.secret(f"{NAME}-postgres")["fleet-password"])
        async with self.namespace.forwarded(f"service/{NAME}-postgres", 5432) as port:
            url = f"postgresql://orderfleet:{password}@127.0.0.1:{port}/orderfleet?sslmode=disable"
            async with open_pool(url, size=2, wait_seconds=20) as pool:
                yield pool

    @asynccontextmanager
    async def temporal(self) -> AsyncIterator[Client]:
        """Reach the own Temporal as the fleet does."""
        async with self.namespace.forwarded(f"service/{NAME}-temporal", 7233) as port:
            yield await connect(CommonSettings(temporal_address=f"127.0.0.1:{port}"))


def _set(values: Mapping[str, Any]) -> list[str]:
    return [
        f"--set-json={name}={json.dumps(value)}"
        if isinstance(value, list | dict)
        else f"--set={name}={value}"
        for name, value in values.items()
    ]


def _is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
