"""Figures of reading manifests: a thousand mirrored services in two clusters, as files of YAML and of JSON.

Run ``python -m tests.bench.bench_check``; prints how long it takes to read them with places and to judge them, by how
long PyYAML alone takes for their values.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from pulumi_traffic_mirror.model.rules import Mesh, run_rules
from pulumi_traffic_mirror.operations.manifests import Loaded, load
from tests.bench.bench_model import ISTIO, NOW, render_services, timed

PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(files: dict[str, Path]) -> list[Loaded]:
    """All clusters, as ``traffic-mirror check`` reads them."""
    return [loaded for name, file in files.items() for loaded in load(name, [file], ISTIO)]


def main() -> int:
    """Print the figures; 1 when something is found in what the model renders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1_000)
    services: int = parser.parse_args().services
    clusters = json.loads(json.dumps(dict(zip(("staging", "testing"), render_services(services), strict=True))))
    with tempfile.TemporaryDirectory() as folder:
        as_yaml = {name: Path(folder, f"{name}.yaml") for name in clusters}
        as_json = {name: Path(folder, f"{name}.json") for name in clusters}
        for name, objects in clusters.items():
            as_yaml[name].write_text(yaml.safe_dump_all(objects), encoding="utf-8")
            listed = {"apiVersion": "v1", "kind": "List", "items": objects}
            as_json[name].write_text(json.dumps(listed, indent=2), encoding="utf-8")
        texts = [file.read_text(encoding="utf-8") for file in as_yaml.values()]
        alone, _ = timed(lambda: [list(yaml.load_all(text, Loader=PARSER)) for text in texts])
        from_yaml, loaded = timed(lambda: read(as_yaml))
        from_json, _ = timed(lambda: read(as_json))
    judging, findings = timed(lambda: run_rules(Mesh(clusters=[each.cluster for each in loaded], now=NOW)))
    print(f"{services} services, {sum(map(len, clusters.values()))} objects, {len(findings)} findings")
    print(f"PyYAML alone, values only: {alone:.2f} s")
    for what, seconds in (("read as YAML", from_yaml), ("read as JSON", from_json), ("judged by all rules", judging)):
        print(f"{what}: {seconds:.2f} s, {seconds / alone:.2f} times that")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
