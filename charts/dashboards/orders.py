"""The orders: how they end, in which time, what fails on the way, and the money."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import CustomVariable, Dashboard
from grafana_foundation_sdk.models.dashboard import VariableOption

from charts.dashboards.parts import Limit, Query, dashboard, graph, number
from charts.dashboards.selectors import (
    API,
    ORDER_WORKER,
    SERVICES,
    WORKERS,
    fleet_wide,
    quantile,
    rate,
)

_ENDED: Final = "orderfleet_orders_ended_total"
_DURATION: Final = "orderfleet_order_duration_seconds"
_STEP: Final = "orderfleet_step_duration_seconds"
_ATTEMPTS: Final = "orderfleet_step_attempts_total"
_FAILED: Final = f'{WORKERS}, outcome="failed"'
_LEFT: Final = "orderfleet_deadline_left_seconds"
_SAVED: Final = "orderfleet_orders_saved_by_retries_total"
_LOST: Final = f'{WORKERS}, state=~"failed|timed_out"'
_FULFILLED: Final = f'{WORKERS}, state="fulfilled"'
_INSIDE: Final = f'{WORKERS}, le="$deadline"'


def _inside(window: str) -> str:
    return (
        f"sum(rate({_DURATION}_bucket{{{_INSIDE}}}[{window}]))"
        f" / sum(rate({_DURATION}_count{{{WORKERS}}}[{window}]))"
    )


# Edges of the histogram, as `le` stands in a scrape of prometheus-client.
_DEADLINE: Final = (
    CustomVariable("deadline")
    .label("Deadline")
    .description("orders.deadlineSeconds of the chart; an edge of the histogram.")
    .values("10 : 10.0, 12 : 12.0, 15 : 15.0, 20 : 20.0, 30 : 30.0")
    .current(VariableOption(text="15", value="15.0"))
)

_NOW: Final = [
    number(
        "Ended inside ${deadline:text} s",
        "Of the orders that ended in the time shown. The objective is 99.9 %.",
        _inside("$__range"),
        unit="percentunit",
        decimals=2,
        limit=Limit(red=0.99, yellow=0.999, falling=True),
        runbook="OrderDeadlineBurnFast",
    ),
    number(
        "Fulfilled",
        "Of the orders that ended in the time shown.",
        f"sum(rate({_ENDED}{{{_FULFILLED}}}[$__range]))"
        f" / sum(rate({_ENDED}{{{WORKERS}}}[$__range]))",
        unit="percentunit",
        decimals=1,
    ),
    number("Ended a second", "Orders that end, however.", rate(_ENDED, WORKERS), unit="ops"),
    number(
        "Open",
        "Orders that have not ended, by Postgres.",
        f"sum({fleet_wide('orderfleet_open_orders', by='state')})",
    ),
    number(
        "Overdue",
        "Open more than 5 s past their deadline. ReconcileOrders ends them within seconds.",
        fleet_wide("orderfleet_overdue_orders"),
        limit=Limit(red=1),
        runbook="ReconciliationNeeded",
    ),
    number(
        "Longest wait for a refund",
        "Since the end of an unfulfilled order whose payment is not given back or closed.",
        fleet_wide("orderfleet_oldest_pending_refund_seconds"),
        unit="s",
        limit=Limit(red=300, yellow=60),
        runbook="RefundsPendingTooLong",
    ),
]
_ENDS: Final = [
    graph(
        "Outcomes",
        "Orders that end, by how. timed_out is an orderly end too: inside 15 s, money back.",
        Query(rate(_ENDED, WORKERS, "state"), "{{state}}"),
        unit="ops",
        width=8,
        stacked=True,
    ),
    graph(
        "Time of an order",
        "From acceptance to end, whatever the end; the review's 2 s are in it.",
        *(
            Query(quantile(number_, _DURATION, WORKERS), f"{number_:.0%}")
            for number_ in (0.5, 0.95, 0.99)
        ),
        unit="s",
        limit=Limit(red=15, yellow=12),
        runbook="OrderDeadlineBurnSlow",
        width=8,
    ),
    graph(
        "Open orders",
        "By state, by Postgres: where orders are, or are stuck.",
        Query(fleet_wide("orderfleet_open_orders", by="state"), "{{state}}"),
        width=8,
        stacked=True,
    ),
]
_DURABLE: Final = [
    graph(
        "Retries absorbed",
        "Attempts of steps that failed, beside the orders that failed or ran out of time.",
        Query(rate(_ATTEMPTS, _FAILED), "attempts that failed"),
        Query(rate(_ENDED, _LOST), "orders that failed"),
        unit="ops",
    ),
    graph(
        "Orders that would have failed without retries",
        "Share of the fulfilled orders of which an attempt had failed before another succeeded.",
        Query(f"{rate(_SAVED, WORKERS)} / {rate(_ENDED, _FULFILLED)}", "saved by retries"),
        unit="percentunit",
        share=True,
    ),
    graph(
        "Share that ends inside ${deadline:text} s",
        "What the deadline's alerts look at. No line: no order ended.",
        Query(_inside("$__rate_interval"), "in time"),
        unit="percentunit",
        floor=0.95,
        share=True,
        limit=Limit(red=0.99, yellow=0.999, falling=True),
        runbook="OrderDeadlineBurnFast",
    ),
    graph(
        "CPU of an order",
        "Of the API and the workers, what they use without orders too. Not of Temporal, Postgres.",
        Query(
            f"{rate('process_cpu_seconds_total', SERVICES)} / {rate(_ENDED, WORKERS)}",
            "CPU seconds",
        ),
        unit="s",
    ),
]
_STEPS: Final = [
    graph(
        "Time of a step, 95 %",
        "Of one attempt of an activity.",
        Query(quantile(0.95, _STEP, WORKERS, "step"), "{{step}}"),
        unit="s",
        limit=Limit(red=5, yellow=3),
    ),
    graph(
        "Attempts that failed",
        "Each is tried again, at most three times in all; cancelled ones were no longer wanted.",
        Query(
            rate(_ATTEMPTS, f'{WORKERS}, outcome=~"failed|cancelled"', "step, outcome"),
            "{{step}} {{outcome}}",
        ),
        unit="ops",
    ),
    graph(
        "Share of attempts that failed",
        "Of all attempts of a step.",
        Query(
            f"{rate(_ATTEMPTS, _FAILED, 'step')} / {rate(_ATTEMPTS, WORKERS, 'step')}",
            "{{step}}",
        ),
        unit="percentunit",
        share=True,
    ),
    graph(
        "Budget left, lowest 5 %",
        "Time that a step and its retries had left when it began. At 0 the order ends instead.",
        Query(quantile(0.05, _LEFT, WORKERS, "step"), "{{step}}"),
        unit="s",
        limit=Limit(red=1, yellow=3, falling=True),
    ),
]
_MONEY: Final = [
    graph(
        "Payment gateway",
        "Calls by what they did to the payment: unknown is an error or no answer.",
        Query(
            rate("orderfleet_payments_total", ORDER_WORKER, "operation, result"),
            "{{operation}}: {{result}}",
        ),
        unit="ops",
    ),
    graph(
        "Repeated charges",
        "Charges that the gateway had done already: a retry after a lost reply, not charged twice.",
        Query(
            rate("orderfleet_payments_total", f'{ORDER_WORKER}, replayed="true"'),
            "replayed",
        ),
        unit="ops",
    ),
    graph(
        "Refunds",
        "Payments undone: given back, or closed before anything was taken.",
        Query(rate("orderfleet_refunds_total", ORDER_WORKER, "result"), "{{result}}"),
        unit="ops",
    ),
    graph(
        "Pending refunds",
        "Payments that are still owed, and how long the oldest is.",
        Query(fleet_wide("orderfleet_pending_refunds"), "pending"),
        runbook="RefundsPendingTooLong",
        width=6,
    ),
    graph(
        "Reconciled",
        "Orders that ReconcileOrders had to end: their workflow was terminated or lost. And what it"
        " fails on; no other part of the fleet ends those.",
        Query(rate("orderfleet_reconciled_orders_total", ORDER_WORKER, "state"), "{{state}}"),
        Query(
            rate("orderfleet_reconciliation_failures_total", ORDER_WORKER, "phase"),
            "{{phase}} that fail",
        ),
        Query(f"max(orderfleet_overdue_orders{{{API}}})", "overdue"),
        runbook="ReconciliationNeeded",
        width=6,
    ),
]


def build() -> Dashboard:
    """Return the dashboard."""
    return dashboard(
        "orders",
        "Orders",
        "How orders end, in which time, what fails on the way, and the money.",
        {
            "Now": _NOW,
            "Ends": _ENDS,
            "Durable execution": _DURABLE,
            "Steps": _STEPS,
            "Money": _MONEY,
        },
        (_DEADLINE,),
    )
