"""Temporal and Postgres: what the servers tell of themselves, and what the fleet sees of them."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from charts.dashboards.parts import Limit, Query, dashboard, graph, number
from charts.dashboards.selectors import (
    SERVICES,
    TEMPORAL,
    WORKERS,
    fleet_wide,
    quantile,
    rate,
)

# A poll waits up to a minute for a task: its time tells nothing.
_FRONTEND: Final = (
    f'{TEMPORAL}, service_name="frontend", operation!~"Poll.*|GetWorkflowExecutionHistory"'
)
_HISTORY: Final = f'{TEMPORAL}, service_name="history"'
_SHARD: Final = f'{TEMPORAL}, operation="ShardInfo"'
_USED: Final = f'{SERVICES}, state="used"'
_OUTSIDE: Final = "Of the fleet's own view: also of a Temporal that cannot be scraped. "

_NOW: Final = [
    number(
        "Requests to Temporal",
        "Requests that the frontend of an own Temporal takes. Empty: it is someone else's.",
        rate("service_requests", f'{TEMPORAL}, service_name="frontend"'),
        unit="reqps",
    ),
    number(
        "Temporal answers, 95 %",
        f"{_OUTSIDE}Calls that are no polls.",
        quantile(0.95, "temporal_request_latency_seconds", SERVICES),
        unit="s",
        limit=Limit(red=1, yellow=0.5),
    ),
    number(
        "Persistence, 95 %",
        "How long Temporal's own statements take, of every service of it.",
        quantile(0.95, "persistence_latency", TEMPORAL),
        unit="s",
        limit=Limit(red=0.5, yellow=0.1),
    ),
    number(
        "Temporal seen",
        "1 if an API pod's last look at Temporal's queues worked.",
        fleet_wide("orderfleet_exporter_up", 'source="temporal"'),
        limit=Limit(red=1, falling=True),
        runbook="ExporterDown",
    ),
    number(
        "Postgres seen",
        "1 if an API pod's last look at the fleet's tables worked.",
        fleet_wide("orderfleet_exporter_up", 'source="postgres"'),
        limit=Limit(red=1, falling=True),
        runbook="ExporterDown",
    ),
    number(
        "Schema",
        "Number of the newest migration of the fleet's tables that ran.",
        fleet_wide("orderfleet_schema_version"),
        unit="none",
        runbook="MigrationFailed",
    ),
]
_SERVER: Final = [
    graph(
        "Requests by operation",
        "What the frontend takes from the fleet.",
        Query(rate("service_requests", _FRONTEND, "operation"), "{{operation}}"),
        unit="reqps",
    ),
    graph(
        "Errors",
        "By Temporal's service and the error's type. A NotFound now and then is normal.",
        Query(
            rate("service_error_with_type", TEMPORAL, "service_name, error_type"),
            "{{service_name}} {{error_type}}",
        ),
        unit="ops",
    ),
    graph(
        "Duration by operation, 95 %",
        "In the frontend, polls left out.",
        Query(quantile(0.95, "service_latency", _FRONTEND, "operation"), "{{operation}}"),
        unit="s",
        limit=Limit(red=1, yellow=0.5),
    ),
    graph(
        "Tasks of a shard, 95 %",
        "From a task's making to its end in the history service: timers, transfers, visibility.",
        Query(quantile(0.95, "task_latency", _HISTORY, "operation"), "{{operation}}"),
        unit="s",
    ),
    graph(
        "Shards",
        "Wait for a shard's lock, and shards that each server holds: a jump is a server that went.",
        Query(quantile(0.95, "lock_latency", _SHARD), "lock, 95 %"),
        Query(quantile(0.95, "semaphore_latency", _SHARD), "semaphore, 95 %"),
        unit="s",
        width=8,
    ),
    graph(
        "Shards of a server",
        "The servers of one ring share them out.",
        Query(f"sum by (pod) (numshards_gauge{{{TEMPORAL}}})", "{{pod}}"),
        width=8,
    ),
    graph(
        "Memory of a server",
        "Heap in use; all services of a pod are one process and tell the same.",
        Query(f"max by (pod) (memory_heapinuse{{{TEMPORAL}}})", "{{pod}}"),
        unit="bytes",
        width=8,
    ),
]
_WORKFLOWS: Final = [
    graph(
        "Attempts of workflow tasks, 99 %",
        "More than 1: a worker failed or lost a workflow task, and the order waited 2 s or more.",
        Query(
            quantile(0.99, "workflow_task_attempt", TEMPORAL),
            "attempts",
        ),
        limit=Limit(red=3, yellow=2),
        runbook="WorkflowTaskFailures",
        width=8,
    ),
    graph(
        "Scheduled to started, 95 %",
        "By Temporal's clock, per queue and kind of task.",
        Query(
            quantile(0.95, "task_schedule_to_start_latency", TEMPORAL, "taskqueue, task_type"),
            "{{taskqueue}} {{task_type}}",
        ),
        unit="s",
        limit=Limit(red=3, yellow=1),
        width=8,
    ),
    graph(
        "Calls of the fleet that failed",
        f"{_OUTSIDE}By service's pod and gRPC status.",
        Query(
            rate("temporal_request_failure_total", SERVICES, "operation, status_code"),
            "{{operation}} {{status_code}}",
        ),
        unit="ops",
        width=8,
    ),
    graph(
        "Replays, 95 %",
        "How long a worker needs to replay a history that it no longer has in memory.",
        Query(
            quantile(
                0.95,
                "temporal_workflow_task_replay_latency_seconds",
                WORKERS,
                "task_queue",
            ),
            "{{task_queue}}",
        ),
        unit="s",
    ),
    graph(
        "Calls of the fleet, 95 %",
        f"{_OUTSIDE}Polls left out.",
        Query(
            quantile(0.95, "temporal_request_latency_seconds", SERVICES, "operation"),
            "{{operation}}",
        ),
        unit="s",
        limit=Limit(red=1, yellow=0.5),
    ),
]
_STATEMENTS: Final = [
    graph(
        "The fleet's statements",
        "Their time in Postgres and on the way; one of more than 2.5 s is given up.",
        *(
            Query(quantile(one, "orderfleet_statement_duration_seconds", SERVICES), f"{one:.0%}")
            for one in (0.5, 0.95, 0.99)
        ),
        unit="s",
        limit=Limit(red=0.5, yellow=0.1),
        width=8,
    ),
    graph(
        "The fleet's statements by outcome",
        "Failed is an error of Postgres, or none of its answers in time.",
        Query(
            rate("orderfleet_statement_duration_seconds_count", SERVICES, "outcome"), "{{outcome}}"
        ),
        unit="ops",
        width=8,
    ),
    graph(
        "Connections in use",
        "Share of a pod's pool. At 100 % statements wait for a connection: raise databasePoolSize.",
        Query(
            f"sum by (pod) (orderfleet_database_connections{{{_USED}}})"
            f" / sum by (pod) (orderfleet_database_pool_size{{{SERVICES}}})",
            "{{pod}}",
        ),
        unit="percentunit",
        share=True,
        limit=Limit(red=0.95, yellow=0.8),
        width=8,
    ),
    graph(
        "Temporal's statements, 95 %",
        "Of its main database, the five slowest: the disk of Postgres shows here first.",
        Query(
            f"topk(5, {quantile(0.95, 'persistence_latency', TEMPORAL, 'operation')})",
            "{{operation}}",
        ),
        unit="s",
        limit=Limit(red=0.5, yellow=0.1),
    ),
    graph(
        "Temporal's statements",
        "Rate by service.",
        Query(rate("persistence_requests", TEMPORAL, "service_name"), "{{service_name}}"),
        unit="ops",
    ),
    graph(
        "Temporal's statements that failed",
        "By type. NotFound is a queue or a workflow that is looked for and not there.",
        Query(
            rate("persistence_error_with_type", TEMPORAL, "service_name, error_type"),
            "{{service_name}} {{error_type}}",
        ),
        unit="ops",
    ),
    graph(
        "Visibility, 95 %",
        "Temporal's second database, which is searched and listed.",
        Query(
            quantile(0.95, "visibility_persistence_latency", TEMPORAL, "operation"),
            "{{operation}}",
        ),
        unit="s",
        limit=Limit(red=0.5, yellow=0.1),
    ),
]


def build() -> Dashboard:
    """Return the dashboard."""
    return dashboard(
        "temporal-postgres",
        "Temporal and Postgres",
        "What the servers tell of themselves, and what the fleet sees of them.",
        {
            "Now": _NOW,
            "Temporal's server": _SERVER,
            "Workflows": _WORKFLOWS,
            "Postgres": _STATEMENTS,
        },
    )
