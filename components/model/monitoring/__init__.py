"""What is watched of mirrors: Prometheus' rules, and a dashboard for Grafana. Pure."""

from .alerts import ALERTS, WINDOW_MINUTES, Alert, alert_group
from .counters import PROXY_STATS, STATS_ANNOTATION
from .dashboard import dashboard
from .inventory import MonitoredMirror, inventory_group, of_overlay, of_route

__all__ = [
    "ALERTS",
    "PROXY_STATS",
    "STATS_ANNOTATION",
    "WINDOW_MINUTES",
    "Alert",
    "MonitoredMirror",
    "alert_group",
    "dashboard",
    "inventory_group",
    "of_overlay",
    "of_route",
]
