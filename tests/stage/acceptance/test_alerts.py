"""Alerts by a real Prometheus on real proxies while faults are planted: each fires for its fault, and no other does."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import yaml

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model import Expiry, GatewayHosts, OverlayRoute
from pulumi_traffic_mirror.model.monitoring import (
    ALERTS,
    MonitoredMirror,
    alert_group,
    inventory_group,
    of_overlay,
    of_route,
)
from pulumi_traffic_mirror.model.monitoring.dashboard import INTERVAL, expressions
from pulumi_traffic_mirror.operations.recording.counters import Counters

from .lab import Lab, Route
from .overlays import HTTP
from .terms import GATEWAY, NAMESPACE, PORTS, STAGING, echo, service
from .test_brakes import WIDE

pytestmark = pytest.mark.stage

SOURCE: Final = "monitoring"
WINDOW: Final = "20s"
PROMETHEUS: Final = "127.0.0.1:9390"
RECORDER: Final = "127.0.0.1:9391"
RATE: Final = 20
TRAFFIC_SECONDS: Final = 110
PATIENCE_SECONDS: Final = 75
PORT = PORTS[HTTP]


def alias(name: str, version: str | None) -> dict[str, Any]:
    """A Service of its own on the pods of an echo server, or on none."""
    ports = [{"name": "http", "port": PORT, "targetPort": 8000, "appProtocol": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": f"echo-{version}" if version else "nobody"}, "ports": ports},
    }


SERVICES: Final = {
    "good": "v3",
    "slow": "v3",
    "wrong": "v2",
    "ejected": "v2",
    "podless": None,
    "ending": "v3",
    "idle": "v3",
}


def mirrors(lab: Lab, soon: datetime) -> list[Any]:
    """Mirrors that will each have one fault, and one that has none."""

    def to(name: str, **values: Any) -> tm.InClusterMirror:
        return tm.InClusterMirror(**{"percent": 100, "service": service(name, HTTP), "brakes": WIDE, **values})

    return [
        to("good"),
        to("slow", brakes=replace(WIDE, max_requests=10)),
        to("wrong", brakes=tm.Waiver(reason="a thousand errors in a row would eject it")),
        to("ejected", brakes=replace(WIDE, consecutive_errors=3, ejection_seconds=300)),
        to("podless"),
        to("ending", expires=Expiry(soon)),
        lab.outside(HTTP, brakes=replace(WIDE, max_duration_seconds=2)),
    ]


@contextmanager
def prometheus(lab: Lab, programs: Path, folder: Path, groups: list[Any]) -> Iterator[None]:
    """Prometheus in the stage's network, on its loopback, on staging's gateway, istiod and a recorder's counters."""
    (folder / "rules.json").write_text(json.dumps({"groups": groups}), encoding="utf-8")
    kubeconfig = yaml.safe_load(Path(lab.stage.kubeconfigs[STAGING]).read_text(encoding="utf-8"))
    user, cluster = kubeconfig["users"][0]["user"], kubeconfig["clusters"][0]["cluster"]
    (folder / "ca").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    access = {
        "scheme": "https",
        "tls_config": {"ca_file": str(folder / "ca")},
        "authorization": {"credentials_file": str(folder / "token")},
    }
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(user["token"], encoding="utf-8")

    def pod(job: str, namespace: str, selector: str, page: str) -> dict[str, Any]:
        (found,) = lab.outpost.ask("find", STAGING, "v1", "Pod", namespace, selector)
        name = found["metadata"]["name"]
        path = f"/api/v1/namespaces/{namespace}/pods/{name}:{page}"
        host = cluster["server"].removeprefix("https://")
        return {"job_name": job, **access, "metrics_path": path, "static_configs": [{"targets": [host]}]}

    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(folder / "rules.json")],
        "scrape_configs": [
            pod("gateway", GATEWAY.namespace, "istio=internal-gateway", "15020/proxy/stats/prometheus"),
            pod("istiod", "istio-system", "app=istiod", "15014/proxy/metrics"),
            {"job_name": "recorder", "static_configs": [{"targets": [RECORDER]}]},
        ],
    }
    (folder / "prometheus.json").write_text(json.dumps(config), encoding="utf-8")
    served = folder / "recorder"
    served.mkdir()
    write_counters(folder, 0)
    host, _, port = RECORDER.partition(":")
    with ExitStack() as ends:
        for argv in (
            ["python3", "-m", "http.server", port, "--bind", host, "--directory", str(served)],
            [
                str(programs / "prometheus"),
                f"--config.file={folder / 'prometheus.json'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={PROMETHEUS}",
                "--log.level=warn",
            ],
        ):
            log = ends.enter_context((folder / "log.txt").open("a"))
            command = lab.stage.fabric_command(argv)
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            ends.callback(process.wait, timeout=20)
            ends.callback(process.terminate)
        yield


def write_counters(folder: Path, lost: int) -> None:
    """What a recorder tells, as its own code writes it."""
    fresh = folder / "counters"
    fresh.write_text(Counters(dropped_queue=lost).as_prometheus(), encoding="utf-8")
    fresh.rename(folder / "recorder" / "metrics")


def ask(lab: Lab, path: str) -> Any:
    return json.loads(lab.outpost.ask("http", f"http://{PROMETHEUS}/api/v1/{path}", None, 10))["data"]


def firing(lab: Lab) -> set[tuple[str, str]]:
    """Alerts that fire, with the mirror that they are about, or what else they name."""
    found = [each for each in ask(lab, "alerts")["alerts"] if each["state"] == "firing"]
    names = [each["labels"] for each in found]
    return {(each["alertname"], each.get("mirror", each.get("type", each.get("job", "")))) for each in names}


def await_firing(lab: Lab, wanted: set[tuple[str, str]], *, ever: bool = False) -> set[tuple[str, str]]:
    """What fires as soon as it is what is wanted, or in the end.

    Args:
        lab: Where Prometheus runs.
        wanted: Alerts to wait for.
        ever: Whether all counts that fired meanwhile: what happens once is told for a window only.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    fired: set[tuple[str, str]] = set()
    while True:
        try:
            seen = firing(lab)
        except RuntimeError:  # it starts
            seen = set()
        fired = fired | seen if ever else seen
        if fired == wanted or time.monotonic() > deadline:
            return fired
        time.sleep(1)


def refused(host: str) -> dict[str, Any]:
    """An EnvoyFilter that makes a route no proxy takes: its header asks for what there is not."""
    header = {"header": {"key": "x-refused", "value": "%NOTHING_OF_THE_KIND%"}}
    match = {"context": "GATEWAY", "routeConfiguration": {"vhost": {"domainName": host}}}
    patch = {"operation": "MERGE", "value": {"request_headers_to_add": [header]}}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "refused", "namespace": "istio-system"},
        "spec": {"configPatches": [{"applyTo": "HTTP_ROUTE", "match": match, "patch": patch}]},
    }


def inventory(route: Route, past: datetime) -> list[MonitoredMirror]:
    """What Prometheus is told of: the route's mirrors, one of a cluster that is not there, one that should have ended,
    and those of an overlay that nobody has put in place."""
    known = of_route(route.model)
    good = next(each for each in known if each.mirror.endswith("/good"))
    overlay = OverlayRoute(
        name="shop",
        namespace=NAMESPACE,
        on=[GatewayHosts(hosts=[route.host])],
        mirrors=[tm.InClusterMirror(percent=100, service=service("idle", HTTP))],
        istio=route.model.istio,
    )
    return [
        *known,
        replace(good, mirror="hello/unknown", cluster=service("unknown", HTTP).cluster_name),
        replace(good, mirror="hello/ended", expires=Expiry(past)),
        *of_overlay(overlay, [route.primary]),
    ]


@pytest.mark.timeout(400)
def test_each_alert_fires_for_its_fault_and_for_no_other(
    lab: Lab, prometheus_folder: Path, tmp_path: Path, case: Any
) -> None:
    note = case("Alerts on planted faults", SOURCE, f"{len(ALERTS)} alerts, each for its fault alone")
    now = datetime.now(UTC)
    services = [alias(name, version) for name, version in SERVICES.items()]
    with (
        lab.applied(STAGING, services),
        lab.route(*mirrors(lab, now + timedelta(days=1)), protocol=HTTP, primary=echo("v1", HTTP)) as route,
        ThreadPoolExecutor(1) as pool,
    ):
        prefix = f"{route.model.namespace}/{route.model.name}"
        known = inventory(route, now - timedelta(hours=1))
        always = {
            ("MirrorNotSeen", "hello/unknown"),
            ("MirrorEndsSoon", f"{prefix}/ending"),
            ("MirrorGoesOnAfterItsEnd", "hello/ended"),
            ("MirrorSendsNoCopies", "hello/shop/idle"),
            ("MirrorWithoutEndpoints", f"{prefix}/podless"),
        }
        planted = {
            ("MirrorCopiesUnanswered", f"{prefix}/outside"),
            ("MirrorCopiesFail", f"{prefix}/wrong"),
            ("MirrorBrakesRefuseCopies", f"{prefix}/slow"),
            ("MirrorEndpointsEjected", f"{prefix}/ejected"),
            ("ProxiesRejectConfiguration", "rds"),
            ("RecorderDropsExchanges", "recorder"),
        }
        rules = [inventory_group(known, window=WINDOW), alert_group(window=WINDOW)]
        with prometheus(lab, prometheus_folder, tmp_path, rules):
            job = lab.job(route, RATE * TRAFFIC_SECONDS, rate=RATE, concurrency=8)
            calls = pool.submit(lab.run_job, job, inside=False, timeout=TRAFFIC_SECONDS + 60)
            before = await_firing(lab, always)
            with (
                lab.outside_server.misbehaving("hang"),
                lab.misbehaving(STAGING, "v2", "status", status=503),
                lab.misbehaving(STAGING, "v3", "delay", seconds=1),
                lab.applied(STAGING, [refused(route.host)]),
            ):
                write_counters(tmp_path, 5)
                during = await_firing(lab, always | planted, ever=True)
                panels = [
                    ask(lab, f"query?query={quote(each.replace(INTERVAL, WINDOW))}")["result"] for each in expressions()
                ]
            result = calls.result(timeout=TRAFFIC_SECONDS + 60)
        lab.refused[STAGING] = lab.rejects()[STAGING]
    note(f"{len(during)} of {len(ALERTS)} alerts fire", "Prometheus on staging's gateway and istiod")
    assert (before ^ always, during ^ (always | planted)) == (set(), set())
    assert {name for name, _ in during} == {alert.name for alert in ALERTS}
    assert result["versions"] == {"v1": RATE * TRAFFIC_SECONDS}
    assert all(panels), [each for each, found in zip(expressions(), panels, strict=True) if not found]
