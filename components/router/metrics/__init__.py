"""``/metrics``: what a router worker, and a node, have counted, in Prometheus' text format.

``Metrics`` and ``NodeMetrics`` are what configurations name.
"""

from components.router.metrics.pages import Metrics, NodeMetrics

__all__ = ["Metrics", "NodeMetrics"]
