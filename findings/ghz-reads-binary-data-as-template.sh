#!/usr/bin/env bash
# ghz ends before its first call when binary data hold "{{".
#
# Packages: ghz 0.93.0 (Go module), grpcio 1.76.0 (PyPI).
# Guess:    data given by --binary-file are sent as they are. Templates are documented for JSON data, and two braces are
#           as good as any other bytes of a protobuf message.
# Seen:     the whole file is parsed as a Go template first. Where that fails, nothing is sent and ghz ends with the
#           template's error; where it succeeds, the bytes are sent unchanged.
# Why it matters: one text with "{{" among thousands of recorded messages, and there is no load test.
#
# Loopback only, at most four calls; ends by itself within a minute or two (ghz is built).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
GOFLAGS="-p=1" GOBIN="$folder" go install github.com/bojand/ghz/cmd/ghz@v0.93.0
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.76.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

folder = pathlib.Path(sys.argv[1])
(folder / "s.proto").write_text(
    'syntax = "proto3"; package a; message Text { string value = 1; } service S { rpc Say(Text) returns (Text); }'
)
received: list[bytes] = []


def say(request: bytes, _context: grpc.ServicerContext) -> bytes:
    received.append(request)
    return b""


def delimited(text: bytes) -> bytes:
    message = b"\x0a" + bytes([len(text)]) + text
    return bytes([len(message)]) + message


def sent(text: bytes) -> tuple[int, int]:
    """Exit code of ghz for two messages, the first with this text, and how many arrived."""
    received.clear()
    (folder / "data").write_bytes(delimited(text) + delimited(b"plain"))
    words = ["--insecure", "--proto", "s.proto", "--call", "a.S.Say", "-n", "2", "-c", "1", "--binary-file", "data"]
    done = subprocess.run([folder / "ghz", *words, f"127.0.0.1:{port}"], cwd=folder, capture_output=True, check=False)
    return done.returncode, len(received)


server = grpc.server(ThreadPoolExecutor(2))
handlers = {"Say": grpc.unary_unary_rpc_method_handler(say)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.S", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
try:
    seen = {text: sent(text) for text in (b"price: 5", b"price: {{ 5")}
finally:
    server.stop(None)
for text, (code, count) in seen.items():
    print(f"{text.decode()!r}: exit code {code}, {count} of 2 calls")
if seen != {b"price: 5": (0, 2), b"price: {{ 5": (1, 0)}:
    sys.exit("CHANGED: ghz takes binary data otherwise now")
print("As seen with ghz 0.93.0: binary data with two braces are never sent.")
PY
