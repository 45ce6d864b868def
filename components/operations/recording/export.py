"""``python -m …operations.recording.export DIRECTORY``: finished recordings as a tar archive on standard output.

The collector's image has no shell and no tar, so this is how recordings leave its pod.
"""

import argparse
import sys
import tarfile
from contextlib import suppress

from ...model import ValidationError
from .storage import RecordingStore


def main() -> int:
    """Write the archive; 2 when there is nothing to write."""
    parser = argparse.ArgumentParser(description="Write finished recordings as a tar archive to standard output.")
    parser.add_argument("directory", help="where the collector keeps them")
    try:
        store = RecordingStore.open(parser.parse_args().directory)
    except ValidationError as error:
        print(error, file=sys.stderr)
        return 2
    files = store.files()
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for file in files:
            # The collector may have made room meanwhile.
            with suppress(FileNotFoundError):
                archive.add(file.path, arcname=store.relative(file.path))
    if not files:
        print(f"{store.root} holds no finished recording yet", file=sys.stderr)
    return 0 if files else 2


if __name__ == "__main__":
    sys.exit(main())
