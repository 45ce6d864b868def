"""How fast GoReplay's files are imported: ``python -m tests.bench.bench_import [RECORDS]``.

Prints records per second and the time that one million takes, and beside it what the same records take to be read
without being redacted and written, so that a slow machine shows.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from pulumi_traffic_mirror.operations.recording import RecordingStore
from pulumi_traffic_mirror.operations.recording.formats import gor, import_files
from pulumi_traffic_mirror.operations.recording.formats.tally import Tally

_BEGUN: Final = 1_767_225_600_000_000_000


def write_capture(path: Path, records: int) -> None:
    """Write requests of 5,000 a second, and their answers 3 ms later; each with a JSON body of 90 bytes."""
    with path.open("wb") as into:
        for number in range(records // 2):
            at = _BEGUN + number * 200_000
            body = b'{"item": %d, "note": "some words that make up a body of about ninety bytes", "count": 3}' % number
            request = (
                b"POST /orders/%d?page=2 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0\r\n"
                b"Accept: application/json\r\nAuthorization: Bearer fake\r\nX-Request-Id: %032x\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (number % 100, number, len(body), body)
            )
            answer = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: bench\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            into.write(b"1 %024x %d 1000\n%b%b" % (number, at, request, gor.SEPARATOR))
            into.write(b"2 %024x %d 2000\n%b%b" % (number, at + 3_000_000, answer, gor.SEPARATOR))


def main() -> None:
    """Make, read and import a capture."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder, "capture.gor")
        write_capture(capture, records)
        size = capture.stat().st_size / 1024**2
        begun = time.perf_counter()
        with capture.open("rb") as stream:
            count = sum(1 for _ in gor.read_records(stream, Tally()))
        read = time.perf_counter() - begun
        begun, used = time.perf_counter(), time.process_time()
        result = import_files([capture], RecordingStore.open(f"{folder}/recording"))
        took, cpu = time.perf_counter() - begun, time.process_time() - used
    assert (count, result.records, result.exchanges, result.is_whole) == (records, records, records // 2, True)
    print(f"{records:,} records, {size:,.0f} MiB: imported in {took:.1f} s ({cpu:.1f} s of processor time)")
    print(f"one million: {took / records * 1e6:.1f} s; reading alone is {read / took:.2f} of it")


if __name__ == "__main__":
    main()
