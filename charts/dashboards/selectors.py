"""Whose series a panel shows: one release in one Kubernetes namespace.

A scrape has no label of the release, but every pod is named after it, whoever scrapes: Prometheus
by annotation or by a PodMonitor. Temporal's servers have a label `namespace` of their own, which a
scrape moves to `exported_namespace`.
"""

from typing import Final

API: Final = 'namespace="$namespace", pod=~"$release-api-.+"'
ORDER_WORKER: Final = 'namespace="$namespace", pod=~"$release-order-worker-.+"'
WORKERS: Final = 'namespace="$namespace", pod=~"$release-(order|shipping)-worker-.+"'
SERVICES: Final = 'namespace="$namespace", pod=~"$release-(api|order-worker|shipping-worker)-.+"'
TEMPORAL: Final = 'namespace="$namespace", pod=~"$release-temporal-.+"'


def rate(metric: str, selector: str, by: str = "") -> str:
    """Sum the rate of a counter, by these labels."""
    return f"sum{_by(by)}(rate({metric}{{{selector}}}[$__rate_interval]))"


def quantile(number: float, metric: str, selector: str, by: str = "") -> str:
    """Return a quantile of a histogram whose buckets are `metric`_bucket."""
    inner = rate(f"{metric}_bucket", selector, ", ".join(filter(None, ["le", by])))
    return f"histogram_quantile({number:g}, {inner})"


def fleet_wide(metric: str, more: str = "", by: str = "") -> str:
    """Return a gauge that every API pod tells of the whole fleet: the same, so never a sum."""
    selector = ", ".join(filter(None, [API, more]))
    return f"max{_by(by)}({metric}{{{selector}}})"


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""
