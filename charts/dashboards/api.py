"""The API: rate, errors, duration."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from charts.dashboards.parts import Limit, Query, dashboard, graph, number
from charts.dashboards.selectors import API, quantile, rate

_REQUESTS: Final = "orderfleet_http_requests_total"
_DURATION: Final = "orderfleet_http_request_duration_seconds"
_IN_PROGRESS: Final = "orderfleet_http_requests_in_progress"
_ERRORS: Final = f'{API}, status=~"5.."'
# No counter of an error is there before the first one: that is 0 errors, if there are requests.
_SHARE: Final = (
    f"({rate(_REQUESTS, _ERRORS)} or 0 * {rate(_REQUESTS, API)}) / {rate(_REQUESTS, API)}"
)
_ACCEPTED: Final = "orderfleet_orders_accepted_total"
_REFUSED: Final = "orderfleet_orders_refused_total"
# Not those that a tenant's share or rate refuses: they say nothing of the fleet.
_FOR_THE_FLEET: Final = f'{API}, reason=~"busy|away"'
_REFUSED_SHARE: Final = (
    f"{rate(_REFUSED, _FOR_THE_FLEET)} / ({rate(_ACCEPTED, API)} + {rate(_REFUSED, API)})"
)
_CALLS: Final = "temporal_request_latency_seconds"

_NOW: Final = [
    number("Requests", "Requests answered.", rate(_REQUESTS, API), unit="reqps"),
    number(
        "Errors",
        "Share of 5xx, of all answers: 503 is Postgres or Temporal away.",
        _SHARE,
        unit="percentunit",
        decimals=2,
        limit=Limit(red=0.05, yellow=0.01),
        runbook="ApiErrors",
    ),
    number(
        "Duration, 95 %",
        "Until an answer begins.",
        quantile(0.95, _DURATION, API),
        unit="s",
        limit=Limit(red=1, yellow=0.5),
    ),
    number(
        "In progress",
        "Requests under way, event streams too.",
        f"sum({_IN_PROGRESS}{{{API}}})",
    ),
    number(
        "Orders accepted",
        "New ones; a repeat is none.",
        rate(_ACCEPTED, API),
        unit="ops",
    ),
    number("Pods", "API pods that are scraped.", f"count({_IN_PROGRESS}{{{API}}})"),
]
_REQUEST: Final = [
    graph(
        "Rate by route",
        "Requests answered; `other` is what no route takes.",
        Query(rate(_REQUESTS, API, "method, route"), "{{method}} {{route}}"),
        unit="reqps",
        stacked=True,
    ),
    graph(
        "Rate by status",
        "409 is a change that came too late, 499 a client that left before its answer.",
        Query(rate(_REQUESTS, API, "status"), "{{status}}"),
        unit="reqps",
        stacked=True,
    ),
    graph(
        "Share of errors",
        "5xx, of all answers.",
        Query(_SHARE, "5xx"),
        unit="percentunit",
        share=True,
        limit=Limit(red=0.05, yellow=0.01),
        runbook="ApiErrors",
    ),
    graph(
        "Duration",
        "Until an answer begins. A change may wait 2 s for a worker before it answers 202.",
        *(Query(quantile(one, _DURATION, API), f"{one:.0%}") for one in (0.5, 0.95, 0.99)),
        unit="s",
        limit=Limit(red=1, yellow=0.5),
    ),
    graph(
        "Duration by route, 95 %",
        "Until an answer begins.",
        Query(quantile(0.95, _DURATION, API, "method, route"), "{{method}} {{route}}"),
        unit="s",
        limit=Limit(red=1, yellow=0.5),
    ),
    graph(
        "Share of orders refused",
        "Refused as the fleet is busy or away, of all new orders.",
        Query(_REFUSED_SHARE, "busy or away"),
        unit="percentunit",
        share=True,
        limit=Limit(red=0.01),
        runbook="OrdersRefused",
    ),
]
_ADMISSION: Final = [
    graph(
        "Orders accepted and refused",
        "New orders of all pods, those refused by reason; a repeat of a start is none.",
        Query(rate(_ACCEPTED, API), "accepted"),
        Query(rate(_REFUSED, API, "reason"), "refused: {{reason}}"),
        unit="ops",
        stacked=True,
        runbook="OrdersRefused",
    ),
    graph(
        "By tenant",
        "New orders by the name of the caller's API key.",
        Query(rate(_ACCEPTED, API, "tenant"), "{{tenant}}"),
        Query(rate(_REFUSED, API, "tenant"), "{{tenant}}: refused"),
        unit="ops",
    ),
    graph(
        "Orders that wait, and the limit",
        "Accepted orders that no gateway and no person has, and how many may be: of all pods.",
        Query(f"sum(orderfleet_admission_waiting{{{API}}})", "waiting"),
        Query(f"sum(orderfleet_admission_limit{{{API}}})", "limit"),
    ),
    graph(
        "Orders pending, and their limits",
        "The same with those in a review, which will wait, too; less while a tenant floods others.",
        *(
            Query(f"sum(orderfleet_admission_{gauge}{{{API}}})", shown)
            for gauge, shown in (
                ("pending", "pending"),
                ("pending_limit", "limit"),
                ("flood_limit", "limit of floods"),
            )
        ),
    ),
    graph(
        "Limit by pod",
        "How many orders of a pod may wait: each pod decides alone.",
        Query(f"sum by (pod) (orderfleet_admission_limit{{{API}}})", "{{pod}}"),
    ),
    graph(
        "Standing wait",
        "The least that orders waited before their steps: what does not pass is a queue.",
        Query(f"max by (pod) (orderfleet_admission_standing_wait_seconds{{{API}}})", "{{pod}}"),
        unit="s",
    ),
    graph(
        "Throughput",
        "Orders a second that leave the wait: of all pods.",
        Query(f"sum(orderfleet_admission_throughput{{{API}}})", "throughput"),
        Query(rate(_ACCEPTED, API), "accepted"),
        unit="ops",
    ),
]
_INSIDE: Final = [
    graph(
        "In progress by pod",
        "Requests under way, event streams too: uneven is a proxy that does not balance.",
        Query(f"sum by (pod) ({_IN_PROGRESS}{{{API}}})", "{{pod}}"),
    ),
    graph(
        "Bulkheads",
        "Share of each bound in use, of the fullest pod. At 100 % more of that kind is refused.",
        Query(
            f"max by (kind) (orderfleet_bulkhead_in_use{{{API}}}"
            f" / orderfleet_bulkhead_limit{{{API}}})",
            "{{kind}}",
        ),
        unit="percentunit",
        share=True,
        limit=Limit(red=1, yellow=0.8),
        runbook="ApiBulkheadFull",
    ),
    graph(
        "Refused",
        "What full bulkheads refuse with 503.",
        Query(rate("orderfleet_bulkhead_refused_total", API, "kind"), "{{kind}}"),
        unit="ops",
        runbook="ApiBulkheadFull",
    ),
    graph(
        "Event streams",
        "Streams of all events and of single orders, by pod.",
        Query(f"sum by (pod) (orderfleet_feed_listeners{{{API}}})", "{{pod}}"),
    ),
    graph(
        "Events until they are handed on",
        "95 % from the time of an event, and how long open transactions have held up the feed.",
        Query(quantile(0.95, "orderfleet_feed_delay_seconds", API), "95 %"),
        Query(f"max by (pod) (orderfleet_feed_blocked_seconds{{{API}}})", "held up: {{pod}}"),
        unit="s",
        limit=Limit(red=5, yellow=1),
    ),
    graph(
        "Calls of Temporal, 95 %",
        "What the API waits for: starts, updates, queries, descriptions.",
        Query(quantile(0.95, _CALLS, API, "operation"), "{{operation}}"),
        unit="s",
        limit=Limit(red=1, yellow=0.5),
    ),
    graph(
        "Calls of Temporal that failed",
        "By gRPC status. NOT_FOUND is an order that was asked for and is not there.",
        Query(
            rate("temporal_request_failure_total", API, "operation, status_code"),
            "{{operation}} {{status_code}}",
        ),
        unit="ops",
    ),
    graph(
        "CPU",
        "Cores that a pod uses. A Python process has one: at 1 it is full, add replicas.",
        Query(rate("process_cpu_seconds_total", API, "pod"), "{{pod}}"),
        unit="none",
        limit=Limit(red=0.95, yellow=0.8),
    ),
]


def build() -> Dashboard:
    """Return the dashboard."""
    return dashboard(
        "api",
        "API",
        "Rate, errors and duration of the API, and what it waits for.",
        {"Now": _NOW, "Requests": _REQUEST, "Admission": _ADMISSION, "Inside": _INSIDE},
    )
