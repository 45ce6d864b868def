#!/usr/bin/env bash
# Arrow cannot tell a time in UTC as a Python object where the machine has no time zone database, and names the wrong cause.
#
# Package: pyarrow 26.0.1 (PyPI).
# Guess:   UTC is no place on Earth, so datetime.timezone.utc does, and a slim image without /usr/share/zoneinfo reads
#          the least and greatest time in a Parquet footer like any other.
# Seen:    a footer's statistics and to_pylist both raise "The zoneinfo module or pytz package must be installed", though
#          zoneinfo is installed: what is missing is its data. Who takes every error of reading for damage calls all
#          files damaged. Counting and comparing times inside Arrow works. With the package tzdata all is well.
#
# No network but the package; ends by itself within seconds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pyarrow==26.0.1
cat > "$folder/read.py" <<'PY'
import datetime
import sys
import zoneinfo  # it is there

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

moment = datetime.datetime(2026, 1, 31, tzinfo=datetime.timezone.utc)
table = pa.table({"at": pa.array([int(moment.timestamp() * 1_000_000)], pa.timestamp("us", tz="UTC"))})
pq.write_table(table, sys.argv[1])
statistics = pq.ParquetFile(sys.argv[1]).metadata.row_group(0).column(0).statistics
assert pc.cast(pc.max(table.column("at")), pa.int64()).as_py() == int(moment.timestamp() * 1_000_000)
for name, read in (("statistics", lambda: statistics.min), ("to_pylist", lambda: table.column("at").to_pylist()[0])):
    try:
        print(name, read() == moment)
    except ValueError as error:
        print(name, error)
PY
# An empty path stands for an image without the database.
without=$(PYTHONTZPATH="" "$folder/venv/bin/python" "$folder/read.py" "$folder/times.parquet")
"$folder/venv/bin/pip" install -q --disable-pip-version-check tzdata==2026.6
with=$(PYTHONTZPATH="" "$folder/venv/bin/python" "$folder/read.py" "$folder/times.parquet")
printf '%s\n' "without a time zone database:" "$without" "with the package tzdata:" "$with"
refused="The zoneinfo module or pytz package must be installed."
[ "$without" = "statistics $refused"$'\n'"to_pylist $refused" ] || { echo "the behaviour has changed"; exit 1; }
[ "$with" = $'statistics True\nto_pylist True' ] || { echo "the behaviour has changed"; exit 1; }
