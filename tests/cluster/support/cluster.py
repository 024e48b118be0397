"""The cluster that the tests may use, and namespaces of their own in it."""

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
# Clusters that are there for such things. Any other has to be named.
_FOR_TESTS: Final = ("kind-*", "k3d-*", "minikube", "docker-desktop")
CONFIRMATION: Final = "ORDERFLEET_TEST_CONTEXT"
_SECONDS: Final = 60.0
_FORWARDING: Final = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ")
_SERVING: Final = re.compile(r"Starting to serve on 127\.0\.0\.1:(\d+)")


class NotOursError(Exception):
    """The current context is not one that the tests may use; the text says what to do."""


@dataclass(frozen=True)
class Cluster:
    """A cluster, by a kubeconfig of its own: no later `kubectl config use-context` moves a test."""

    context: str
    kubeconfig: Path
    # One run's namespaces are told apart from another's.
    run_id: str = field(default_factory=lambda: uuid4().hex[:6])

    @classmethod
    def current(cls, directory: Path) -> "Cluster":
        """Take the current context.

        Raises:
            NotOursError: it is neither for tests by its name nor confirmed.
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
        """Serve the API server on loopback: many small looks cost less than a kubectl each."""
        command = ("kubectl", "proxy", "--address=127.0.0.1", "--port=0")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.env) as child:
            try:
                assert child.stdout is not None
                line = child.stdout.readline()
                found = _SERVING.match(line)
                assert found, f"kubectl proxy: {line or 'ended'}"
                yield f"http://127.0.0.1:{found[1]}"
            finally:
                child.terminate()

    def namespace(self, name: str) -> "Namespace":
        """Make a namespace that enforces the strictest of the Pod Security Standards."""
        made = Namespace(self, f"{PREFIX}{self.run_id}-{name}")
        standard = "pod-security.kubernetes.io"
        labels = {f"{standard}/enforce": "restricted", f"{standard}/enforce-version": "latest"}
        made.create("v1", "Namespace", made.name, metadata={"labels": labels})
        return made

    def delete(self, namespaces: Iterable["Namespace"]) -> None:
        names = [one.name for one in namespaces]
        if names:
            self.kubectl("delete", "namespace", "--ignore-not-found", *names, seconds=180)


def check_context(context: str, confirmed: str) -> None:
    """Refuse a cluster that might be somebody's: this installs, deletes pods and uninstalls.

    Raises:
        NotOursError: neither its name nor the confirmation lets it in.
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
        found = {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": name, **(metadata or {})},
            **rest,
        }
        namespaced = [] if kind == "Namespace" else [f"--namespace={self.name}"]
        self.cluster.kubectl("create", "--filename=-", *namespaced, stdin=json.dumps(found))

    def get(self, kind: str, *, component: str = "") -> list[Json]:
        selector = [f"--selector=app.kubernetes.io/component={component}"] if component else []
        told = json.loads(self.kubectl("get", kind, *selector, "--output=json"))
        items: list[Json] = told["items"]
        return items

    def pods(self, component: str = "") -> list[str]:
        return [pod["metadata"]["name"] for pod in self.get("pods", component=component)]

    def secret(self, name: str) -> dict[str, str]:
        told = json.loads(self.kubectl("get", "secret", name, "--output=json"))
        return {key: base64.b64decode(value).decode() for key, value in told["data"].items()}

    def psql(self, sql: str, *, pod: str, database: str) -> list[list[str]]:
        """Ask as superuser, in the pod of Postgres; return rows of texts."""
        # By the local socket of the image, which needs no password.
        psql = ("psql", "-XAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-U", "postgres")
        command = ("exec", "-i", pod, "--container=postgres", "--", *psql, "-d", database)
        told = self.kubectl(*command, stdin=sql)
        return [line.split("\t") for line in told.splitlines() if line]

    @asynccontextmanager
    async def forwarded(self, target: str, port: int) -> AsyncIterator[int]:
        """Forward a free port on loopback to one of a Service or a pod."""
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
            found = _FORWARDING.match(line)
            assert found, f"kubectl port-forward {target}: {line or 'ended'}"
            yield int(found[1])
        finally:
            with suppress(ProcessLookupError):
                child.terminate()
            # The rest has to be read: a pipe that is full would hold it up.
            await child.communicate()
