"""Request metrics: labelled by template, method and status, never by what a caller chooses."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import structlog
from prometheus_client import CollectorRegistry

from orderfleet_api.failure_log import LINES_A_SECOND, FailureLog
from orderfleet_api.metrics import ApiMetrics
from orderfleet_api.middleware.request_metrics import measured

App = Callable[[Any, Any, Any], Awaitable[None]]


def counted(registry: CollectorRegistry) -> list[tuple[str, str, str]]:
    return [
        (sample.labels["method"], sample.labels["route"], sample.labels["status"])
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "orderfleet_http_requests_total"
    ]


async def request(app: App, method: str = "GET", kind: str = "http") -> None:
    async def receive() -> Any:
        return {}

    async def send(_message: Any) -> None:
        pass

    await app({"type": kind, "method": method, "path": "/orders/o-1"}, receive, send)


def measured_app(app: App, registry: CollectorRegistry, failures: FailureLog | None = None) -> App:
    wrapped = measured(cast("Any", app), ApiMetrics(registry), failures or FailureLog())
    return cast("App", wrapped)


def answering(status: int | None, route: str | None) -> App:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if route is not None:
            scope["path_template"] = route
        if status is not None:
            await send({"type": "http.response.start", "status": status})
            await send({"type": "http.response.body"})

    return app


@pytest.mark.parametrize(
    ("app", "method", "labels"),
    [
        (answering(200, "/orders/{order_id}"), "GET", ("GET", "/orders/{order_id}", "200")),
        (answering(404, None), "GET", ("GET", "other", "404")),
        (answering(405, None), "SECRET", ("other", "other", "405")),
        (answering(None, "/orders"), "POST", ("POST", "/orders", "499")),
    ],
)
async def test_labels(app: App, method: str, labels: tuple[str, str, str]) -> None:
    registry = CollectorRegistry()
    await request(measured_app(app, registry), method)
    assert counted(registry) == [labels]
    count = registry.get_sample_value(
        "orderfleet_http_request_duration_seconds_count", {"method": labels[0], "route": labels[1]}
    )
    assert count == 1
    assert registry.get_sample_value("orderfleet_http_requests_in_progress") == 0


async def test_an_error_counts_too_and_nothing_stays_in_progress() -> None:
    registry = CollectorRegistry()
    under_way: list[float | None] = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        under_way.append(registry.get_sample_value("orderfleet_http_requests_in_progress"))
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        await request(measured_app(app, registry))
    assert under_way == [1]
    assert registry.get_sample_value("orderfleet_http_requests_in_progress") == 0
    # The server answers with 500.
    assert counted(registry) == [("GET", "other", "500")]


async def test_each_failure_is_a_line_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    structlog.configure(
        processors=[structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        scope["path_template"] = "/orders/{order_id}"
        status = next(statuses)
        await send({"type": "http.response.start", "status": status})
        body = b'{"status": 503, "detail": "Postgres is away"}' if status == 503 else b"<html>"
        await send({"type": "http.response.body", "body": body})

    failures = FailureLog()
    statuses = iter([200, 404, 429, 503, 500, *[503] * 2 * LINES_A_SECOND])
    served = measured_app(app, CollectorRegistry(), failures)
    for _ in range(5):
        await request(served)
    lines = [vars(record) for record in caplog.records if record.msg == "request failed"]
    assert [(line["route"], line["status"], line["reason"]) for line in lines] == [
        ("/orders/{order_id}", 503, "Postgres is away"),
        ("/orders/{order_id}", 500, ""),
    ]
    # Beyond the limit they are counted, and none is left out.
    for _ in range(2 * LINES_A_SECOND):
        await request(served)
    failures.flush()
    lines = [vars(record) for record in caplog.records if record.msg == "request failed"]
    assert sum(line.get("more", 1) for line in lines) == 2 * LINES_A_SECOND + 2
    assert len(lines) < 2 * LINES_A_SECOND


async def test_the_life_of_the_server_is_no_request() -> None:
    registry = CollectorRegistry()
    app = measured_app(answering(None, None), registry)
    await request(app, kind="lifespan")
    assert counted(registry) == []
