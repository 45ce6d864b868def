"""Chart values that Istio needs on the stage, because of what is a stand-in there. Real clusters need none of them."""

from ..model import JsonObject
from .toolchain import ISTIO_HUB, ISTIO_VERSION

ISTIOD_VALUES: JsonObject = {
    "global": {
        "hub": ISTIO_HUB,
        "tag": ISTIO_VERSION,
        # Images are imported, so nothing may be pulled.
        "imagePullPolicy": "IfNotPresent",
        "proxy": {"resources": {"requests": {"cpu": "10m", "memory": "40Mi"}}},
    },
    # The upstream Envoy has no Istio filters: one listener that names one is rejected and no proxy gets ready.
    "env": {"PILOT_ENABLE_METADATA_EXCHANGE": "false", "PILOT_ENABLE_ALPN_FILTER": "false"},
    "telemetry": {"enabled": False},
    "autoscaleEnabled": False,
    "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}},
    "meshConfig": {"accessLogFile": "/dev/stdout"},
}
"""Values of the chart `istio-control/istio-discovery`."""

GATEWAY_VALUES: JsonObject = {
    # The chart's image is `auto`, for which Kubernetes would always pull.
    "imagePullPolicy": "IfNotPresent",
    "autoscaling": {"enabled": False},
    "resources": {"requests": {"cpu": "10m", "memory": "40Mi"}},
}
"""Values of the chart `gateway`, beside those that the program sets itself."""
