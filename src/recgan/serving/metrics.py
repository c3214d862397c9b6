"""What Prometheus reads."""

import os
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)


class Metrics:
    """The metrics of one app; of all workers where PROMETHEUS_MULTIPROC_DIR names their common folder."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "recgan_requests", "Requests by path and status.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "recgan_request_seconds", "Time to answer.", ["path"], buckets=_BUCKETS, registry=registry
        )
        # Looking a label up takes as long as counting.
        self._of_path = cache(
            lambda path, status: (self.requests.labels(path, str(status)), self.seconds.labels(path))
        )
        self.fallbacks = Counter(
            "recgan_fallbacks", "Answers by popularity because the model failed.", registry=registry
        )
        self.version = Gauge(
            "recgan_model_version",
            "The version that answers; with several workers the lowest of them.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.swaps = Counter("recgan_model_swaps", "Versions that were swapped in.", registry=registry)
        self.problems = Counter(
            "recgan_registry_problems", "Looks at the registry that failed.", registry=registry
        )

        self.looked = Gauge(
            "recgan_registry_looked_timestamp_seconds",
            "When the last look at the registry ended, well or not; the oldest of all workers.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.newcomers = Gauge(
            "recgan_new_products",
            "Products that the version was not trained on and that are shown; the fewest of all workers.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.newcomers_until = Gauge(
            "recgan_new_products_until_timestamp_seconds",
            "The newest event that the new products know of, 0 without any; the oldest of all workers.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.rules = Gauge(
            "recgan_rules",
            "Rules of the shop; the fewest of all workers.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.rules_broken = Gauge(
            "recgan_rules_unread",
            "1 where the newest file of the rules cannot be read and those before it go on.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.refused = Counter(
            "recgan_connections_refused",
            "Connections ended with this status before there was a request.",
            ["status"],
            registry=registry,
        )

        self.shown = Counter("recgan_impressions", "Answers that were logged.", registry=registry)
        self.feedback = Counter(
            "recgan_feedback", "Events of shoppers that came of answers.", ["event"], registry=registry
        )
        self.rows_lost = Counter(
            "recgan_log_rows_lost",
            "Rows of answers or feedback that could not be written.",
            ["table"],
            registry=registry,
        )

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count and time a request."""
        counted, timed = self._of_path(path, status)
        counted.inc()
        timed.observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
