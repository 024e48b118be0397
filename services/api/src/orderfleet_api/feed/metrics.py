"""Metrics of the feed of events."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class FeedMetrics:
    """Who listens, and how fast events arrive."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.listeners = 0
        Gauge(
            "orderfleet_feed_listeners",
            "Event streams that listen, those of one order too.",
            registry=registry,
        ).set_function(lambda: self.listeners)
        self.dropped = Counter(
            "orderfleet_feed_dropped_total",
            "Event streams ended because their client read too slowly.",
            registry=registry,
        )
        self.interrupted = Counter(
            "orderfleet_feed_interrupted_total",
            "Times that the connection that listens to Postgres was lost or could not be opened.",
            registry=registry,
        )
        self.delay = Histogram(
            "orderfleet_feed_delay_seconds",
            "From the time of an event until it was handed to the streams.",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15),
            registry=registry,
        )
        self.blocked = Gauge(
            "orderfleet_feed_blocked_seconds",
            "How long open transactions that write events have held up the feed, else 0.",
            registry=registry,
        )
