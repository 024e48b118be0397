"""How the API counts requests: by template, method and status, and nothing a caller chooses."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from orderfleet_api.metrics import ApiMetrics

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
    await request(cast("App", ApiMetrics(registry).measured(cast("Any", app))), method)
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
        await request(cast("App", ApiMetrics(registry).measured(cast("Any", app))))
    assert under_way == [1]
    assert registry.get_sample_value("orderfleet_http_requests_in_progress") == 0
    assert counted(registry) == [("GET", "other", "499")]


async def test_the_life_of_the_server_is_no_request() -> None:
    registry = CollectorRegistry()
    app = cast("App", ApiMetrics(registry).measured(cast("Any", answering(None, None))))
    await request(app, kind="lifespan")
    assert counted(registry) == []
