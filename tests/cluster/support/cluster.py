"""The cluster that the tests may use, and their namespaces in it."""

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from tests.cluster.support.commands import run

Json = dict[str, Any]

PREFIX: Final = "orderfleet-test-"
# Names of local clusters. Any other context must be confirmed by its name.
_FOR_TESTS: Final = ("kind-*", "k3d-*", "minikube", "docker-desktop")
CONFIRMATION: Final = "ORDERFLEET_TEST_CONTEXT"
_SECONDS: Final = 60.0
_FORWARDING: Final = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ")
_SERVING: Final = re.compile(r"Starting to serve on 127\.0\.0\.1:(\d+)")


class NotOursError(Exception):
    """The tests may not use the current context; the message says what to do."""


@dataclass(frozen=True)
class Cluster:
    """A cluster, by its own kubeconfig: no later `kubectl config use-context` moves a test."""

    context: str
    kubeconfig: Path
    # Distinguishes the namespaces of two runs.
    run_id: str = field(default_factory=lambda: uuid4().hex[:6])

    @classmethod
    def current(cls, directory: Path) -> "Cluster":
        """Take the current context.

        Raises:
            NotOursError: it has no local cluster's name and is not confirmed.
        """
        if missing := [tool for tool in ("kubectl", "helm") if shutil.which(tool) is None]:
            raise NotOursError(f"not installed: {', '.join(missing)}")
        try:
            context = run("kubectl", "config", "current-context", seconds=_SECONDS).strip()
        except AssertionError as error:
            raise NotOursError(f"no cluster: {error}") from None
        check_context(context, os.environ.get(CONFIRMATION, ""))
        view = ("kubectl", "config", "view", "--minify", "--flatten", "--raw")
        kubeconfig = directory / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(run(*view, f"--context={context}", seconds=_SECONDS))
        return cls(context, kubeconfig)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *arguments: str, seconds: float = _SECONDS, stdin: str = "") -> str:
        return run("kubectl", *arguments, seconds=seconds, env=self.env, stdin=stdin)

    def helm(self, *arguments: str, seconds: float) -> str:
        return run("helm", *arguments, seconds=seconds, env=self.env)

    @contextmanager
    def proxied(self) -> Iterator[str]:
        """Serve the API server on loopback: cheaper than a kubectl process for each request."""
        command = ("kubectl", "proxy", "--address=127.0.0.1", "--port=0")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.env) as child:
            try:
                assert child.stdout is not None
                line = child.stdout.readline()
                serving = _SERVING.match(line)
                assert serving, f"kubectl proxy: {line or 'exited'}"
                yield f"http://127.0.0.1:{serving[1]}"
            finally:
                child.terminate()

    def namespace(self, name: str) -> "Namespace":
        """Create a namespace that enforces the strictest of the Pod Security Standards."""
        made = Namespace(self, f"{PREFIX}{self.run_id}-{name}")
        standard = "pod-security.kubernetes.io"
        labels = {f"{standard}/enforce": "restricted", f"{standard}/enforce-version": "latest"}
        made.create("v1", "Namespace", made.name, metadata={"labels": labels})
        return made

    def delete(self, namespaces: Iterable["Namespace"]) -> None:
        """Delete namespaces, without waiting: pods of what comes next wait for the room."""
        names = [namespace.name for namespace in namespaces]
        if names:
            self.kubectl("delete", "namespace", "--ignore-not-found", "--wait=false", *names)


def check_context(context: str, confirmed: str) -> None:
    """Refuse a cluster that others may use: the tests install, delete pods and uninstall.

    Raises:
        NotOursError: neither its name nor the confirmation allows it.
    """
    if any(fnmatch(context, pattern) for pattern in _FOR_TESTS) or confirmed == context:
        return
    raise NotOursError(
        f"context {context!r} is none of {', '.join(_FOR_TESTS)}:"
        f" if the tests may use that cluster, set {CONFIRMATION}={context}"
    )


@dataclass(frozen=True)
class Namespace:
    cluster: Cluster
    name: str

    def kubectl(self, *arguments: str, seconds: float = _SECONDS, stdin: str = "") -> str:
        command = (f"--namespace={self.name}", *arguments)
        return self.cluster.kubectl(*command, seconds=seconds, stdin=stdin)

    def create(
        self,
        version: str,
        kind: str,
        name: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        manifest = {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": name, **(metadata or {})},
            **rest,
        }
        namespaced = [] if kind == "Namespace" else [f"--namespace={self.name}"]
        self.cluster.kubectl("create", "--filename=-", *namespaced, stdin=json.dumps(manifest))

    def get(self, kind: str, *, component: str = "") -> list[Json]:
        selector = [f"--selector=app.kubernetes.io/component={component}"] if component else []
        answer = json.loads(self.kubectl("get", kind, *selector, "--output=json"))
        items: list[Json] = answer["items"]
        return items

    def pods(self, component: str = "") -> list[str]:
        return [pod["metadata"]["name"] for pod in self.get("pods", component=component)]

    def secret(self, name: str) -> dict[str, str]:
        secret = json.loads(self.kubectl("get", "secret", name, "--output=json"))
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}

    def psql(self, sql: str, *, pod: str, database: str) -> list[list[str]]:
        """Run SQL as superuser in the pod of Postgres; return rows of texts."""
        # By the local socket of the image, which needs no password.
        psql = ("psql", "-XAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-U", "postgres")
        command = ("exec", "-i", pod, "--container=postgres", "--", *psql, "-d", database)
        output = self.kubectl(*command, stdin=sql)
        return [line.split("\t") for line in output.splitlines() if line]

    @asynccontextmanager
    async def forwarded(self, target: str, port: int) -> AsyncIterator[int]:
        """Forward a free port on loopback to a port of a Service or a pod."""
        command = ("port-forward", "--address=127.0.0.1", target, f":{port}")
        child = await asyncio.create_subprocess_exec(
            "kubectl",
            f"--namespace={self.name}",
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            env=self.cluster.env,
        )
        try:
            assert child.stdout is not None
            async with asyncio.timeout(_SECONDS):
                line = (await child.stdout.readline()).decode()
            forwarding = _FORWARDING.match(line)
            assert forwarding, f"kubectl port-forward {target}: {line or 'exited'}"
            yield int(forwarding[1])
        finally:
            with suppress(ProcessLookupError):
                child.terminate()
            # Drains the pipe: a full pipe would block the process.
            await child.communicate()
