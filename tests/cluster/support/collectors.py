"""The collector of spans in the cluster, and the spans that it has received."""

import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.cluster.collector import PORT
from tests.cluster.support.cluster import Namespace
from tests.cluster.support.scripts import LABEL, run_script
from tests.e2e.support.collector import Collector, Span

_SCRIPT: Final = Path(__file__).parents[1] / "collector.py"
_NAME: Final = "collector"


@dataclass(frozen=True)
class Collecting:
    namespace: Namespace

    @property
    def url(self) -> str:
        """What the chart's `traces.endpoint` takes."""
        return f"http://{_NAME}.{self.namespace.name}:{PORT}"

    def start(self, tag: str) -> None:
        run_script(self.namespace, _NAME, _SCRIPT, tag)
        spec = {"selector": {LABEL: _NAME}, "ports": [{"port": PORT}]}
        self.namespace.create("v1", "Service", _NAME, spec=spec)
        self.namespace.kubectl("wait", f"pod/{_NAME}", "--for=condition=Ready", "--timeout=50s")

    @asynccontextmanager
    async def reached(self) -> AsyncIterator["Received"]:
        async with (
            self.namespace.forwarded(f"service/{_NAME}", PORT) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
        ):
            yield Received(http)


@dataclass(frozen=True)
class Received:
    http: httpx.AsyncClient

    async def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace that were received until now."""
        collector = Collector()
        for request in json.loads((await self.http.get("/")).text):
            collector.take(ExportTraceServiceRequest.FromString(b64decode(request)))
        return collector.of_trace(trace_id)
