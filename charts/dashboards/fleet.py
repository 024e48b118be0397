"""The fleet: both queues side by side, then the pods."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.dashboard import VariableOption

from charts.dashboards.parts import Limit, Query, dashboard, graph, look_up, number
from charts.dashboards.selectors import API, SERVICES, WORKERS, fleet_wide, quantile, rate

# In a panel of a queue of its own, which Grafana repeats for each value of the variable.
_QUEUE: Final = 'task_queue=~"$queue"'
_KINDS: Final = 'worker_type=~"ActivityWorker|WorkflowWorker"'
_RELOADED: Final = "orderfleet_credential_reloaded_timestamp_seconds"
_RELOAD_FAILURES: Final = "orderfleet_credential_reload_failures_total"
_SLOTS: Final = f"{WORKERS}, {_QUEUE}, {_KINDS}"

_NOW: Final = [
    number(
        "Open orders",
        "Orders that have not ended, by Postgres.",
        f"sum({fleet_wide('orderfleet_open_orders', by='state')})",
    ),
    number(
        "Longest wait",
        "How long the oldest task waits for a worker, in any queue. An order has 15 s in all.",
        fleet_wide("orderfleet_task_queue_backlog_age_seconds"),
        unit="s",
        decimals=1,
        limit=Limit(red=3, yellow=1),
        runbook="TaskQueueBacklogOld",
    ),
    number(
        "Fewest pollers",
        "Workers that ask for tasks, of the queue that has the fewest. 0: nobody works on it.",
        f"min({fleet_wide('orderfleet_task_queue_pollers', by='task_queue, type')})",
        limit=Limit(red=1, falling=True),
        runbook="TaskQueueWithoutPollers",
    ),
    number(
        "Overdue orders",
        "Open more than 5 s past their deadline. ReconcileOrders ends them within seconds.",
        fleet_wide("orderfleet_overdue_orders"),
        limit=Limit(red=1),
        runbook="ReconciliationNeeded",
    ),
    number(
        "Pods that answer",
        "Pods of the API and of both workers whose metrics are scraped.",
        f"count(orderfleet_build_info{{{SERVICES}}})",
        runbook="MetricsMissing",
    ),
    number(
        "Exporter",
        "1 if the API's last looks at Postgres and at Temporal worked; 0: a gauge here is missing.",
        f"min({fleet_wide('orderfleet_exporter_up', by='source')})",
        limit=Limit(red=1, falling=True),
        runbook="ExporterDown",
    ),
]
_QUEUES: Final = [
    graph(
        "Backlog of $queue",
        "Tasks that wait for a worker, about; those of a worker's sticky queue are not in it.",
        Query(
            fleet_wide("orderfleet_task_queue_backlog", _QUEUE, "type"),
            "{{type}}",
        ),
        repeat="queue",
    ),
    graph(
        "Age of the backlog of $queue",
        "How long the oldest of them waits. 12 s of an order's 15 s are for its work.",
        Query(
            fleet_wide("orderfleet_task_queue_backlog_age_seconds", _QUEUE, "type"),
            "{{type}}",
        ),
        unit="s",
        limit=Limit(red=3, yellow=1),
        runbook="TaskQueueBacklogOld",
        repeat="queue",
    ),
    graph(
        "Slots of $queue",
        "Tasks that run, and how many may run, of all pods together. Full: tasks wait.",
        Query(
            f"sum by (worker_type) (temporal_worker_task_slots_used{{{_SLOTS}}})",
            "{{worker_type}} used",
        ),
        Query(
            f"sum by (worker_type) (temporal_worker_task_slots_used{{{_SLOTS}}})"
            f" + sum by (worker_type) (temporal_worker_task_slots_available{{{_SLOTS}}})",
            "{{worker_type}} total",
        ),
        runbook="WorkerSlotsExhausted",
        repeat="queue",
    ),
    graph(
        "Pods and pollers of $queue",
        "Pods that work on the queue, and pollers as Temporal knows them.",
        Query(
            f"count(count by (pod) (temporal_worker_task_slots_available{{{WORKERS}, {_QUEUE}}}))",
            "pods",
        ),
        Query(
            fleet_wide("orderfleet_task_queue_pollers", _QUEUE, "type"),
            "{{type}} pollers",
        ),
        limit=Limit(red=1, falling=True),
        runbook="TaskQueueWithoutPollers",
        repeat="queue",
    ),
    graph(
        "Throughput of $queue",
        "Workflow tasks and activities that the pods take, and workflows that complete.",
        Query(
            rate("temporal_workflow_task_queue_poll_succeed_total", f"{WORKERS}, {_QUEUE}"),
            "workflow tasks",
        ),
        Query(rate("temporal_activity_task_received_total", f"{WORKERS}, {_QUEUE}"), "activities"),
        Query(
            rate("temporal_workflow_completed_total", f"{WORKERS}, {_QUEUE}"), "workflows completed"
        ),
        unit="ops",
        repeat="queue",
    ),
    graph(
        "Wait for a slot of $queue, 95 %",
        "From a task's scheduling to its start at a worker: what a busy fleet costs an order.",
        Query(
            quantile(
                0.95,
                "temporal_workflow_task_schedule_to_start_latency_seconds",
                f"{WORKERS}, {_QUEUE}",
            ),
            "workflow tasks",
        ),
        Query(
            quantile(
                0.95,
                "temporal_activity_schedule_to_start_latency_seconds",
                f"{WORKERS}, {_QUEUE}",
            ),
            "activities",
        ),
        unit="s",
        limit=Limit(red=3, yellow=1),
        repeat="queue",
    ),
]
_BUILDS: Final = [
    graph(
        "Share of the new orders of $queue",
        "By build of the workers: a ramp is a new build on trial. Empty while versioning is off.",
        Query(
            fleet_wide("orderfleet_version_share", _QUEUE, "build, status"), "{{build}} {{status}}"
        ),
        unit="percentunit",
        share=True,
        repeat="queue",
    ),
    graph(
        "Open orders by build of $queue",
        "An order ends on the build on which it began, so a build that drains reaches 0 in 15 s.",
        Query(
            fleet_wide("orderfleet_version_open_orders", _QUEUE, "build, status"),
            "{{build}} {{status}}",
        ),
        repeat="queue",
    ),
    graph(
        "Pollers by build of $queue",
        "As Temporal saw them in the last 90 s. 0 of a build with a share: its orders wait.",
        Query(
            fleet_wide("orderfleet_version_pollers", _QUEUE, "build, status"),
            "{{build}} {{status}}",
        ),
        repeat="queue",
    ),
    graph(
        "Ramp of $queue",
        "How long a build has been ramping. The gate judges it within 2 minutes.",
        Query(fleet_wide("orderfleet_version_ramp_seconds", _QUEUE), "ramp"),
        unit="s",
        limit=Limit(red=300, yellow=120),
        runbook="VersionRampStuck",
        repeat="queue",
    ),
]
_PODS: Final = [
    graph(
        "CPU",
        "Cores that a pod uses. A Python process has one: at 1 it is full, add replicas.",
        Query(rate("process_cpu_seconds_total", SERVICES, "pod"), "{{pod}}"),
        unit="none",
        limit=Limit(red=0.95, yellow=0.8),
    ),
    graph(
        "Memory",
        "Resident memory of a pod's process.",
        Query(f"sum by (pod) (process_resident_memory_bytes{{{SERVICES}}})", "{{pod}}"),
        unit="bytes",
    ),
    graph(
        "Draining",
        "How long a pod has been draining since SIGTERM, and how long what runs may go on.",
        Query(f"max by (pod) (orderfleet_draining_seconds{{{SERVICES}}}) > 0", "{{pod}}"),
        Query(f"max(orderfleet_drain_limit_seconds{{{SERVICES}}})", "limit"),
        unit="s",
        runbook="DrainOverrun",
    ),
    graph(
        "Versions",
        "Pods of each service and version: two versions of one are a rollout.",
        Query(
            f"count by (service, version) (orderfleet_build_info{{{SERVICES}}})",
            "{{service}} {{version}}",
        ),
    ),
    graph(
        "Workflows in memory",
        "A worker that keeps too few replays histories: raise cachedWorkflows above open orders.",
        Query(f"sum by (pod) (temporal_sticky_cache_size{{{WORKERS}}})", "{{pod}}"),
    ),
    graph(
        "Failed workflow tasks",
        "A bug or a change that old histories do not fit: their orders stand still. Empty is good.",
        Query(
            rate(
                "temporal_workflow_task_execution_failed_total",
                WORKERS,
                "failure_reason, task_queue",
            ),
            "{{failure_reason}} in {{task_queue}}",
        ),
        unit="ops",
        runbook="WorkflowTaskFailures",
    ),
    graph(
        "Credentials: last reload",
        "Since the pod that is last read a credential. After a rotation, low: all pods have it.",
        Query(
            f"time() - min by (credential) ({_RELOADED}{{{SERVICES}}})",
            "{{credential}}",
        ),
        unit="s",
    ),
    graph(
        "Credentials: failed reloads",
        "A pod looks every 2 s, and keeps the previous value until its files can be used.",
        Query(
            rate(_RELOAD_FAILURES, SERVICES, "pod, credential"),
            "{{pod}} {{credential}}",
        ),
        unit="ops",
        runbook="CredentialReloadFailed",
    ),
]


def build() -> Dashboard:
    """Return the dashboard."""
    queue = (
        look_up(
            "queue", "Queue", f"label_values(orderfleet_task_queue_backlog{{{API}}}, task_queue)"
        )
        .multi(multi=True)
        .include_all(include_all=True)
        .current(VariableOption(text=["All"], value=["$__all"]))
    )
    return dashboard(
        "fleet",
        "Fleet",
        "Both task queues side by side, and the pods that work on them.",
        {"Now": _NOW, "Queues": _QUEUES, "Builds": _BUILDS, "Pods": _PODS},
        (queue,),
    )
