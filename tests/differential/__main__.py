"""Compare many meshes: ``python -m tests.differential 0 10000``; exit code 1 when anything disagrees.

Meshes at which istiod ends are told apart: no claim can be held against what it did not say.

With ``--shrink`` the first mesh of each kind of disagreement is made smaller until it is a case, and printed.
"""

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

import yaml

from pulumi_traffic_mirror.operations.oracle import Oracle
from pulumi_traffic_mirror.rehearsal.places import cache_directory
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles, find_oracle
from tests.differential.breaking import broken_mesh
from tests.differential.comparing import compare
from tests.differential.maker import Object
from tests.differential.meshes import ENTRANCE, mesh
from tests.differential.shrinking import shrunk
from tests.support.oracle import start_oracle


def main() -> int:
    """Print how many meshes disagree, by kind, with the first seeds of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("end", type=int)
    parser.add_argument("--programs", type=Path, help="Folder with a built oracle and its definitions.")
    parser.add_argument("--broken", nargs="+", metavar="KIND", help="Break a field of an object of these kinds.")
    parser.add_argument("--shrink", action="store_true", help="Print the smallest mesh of each kind.")
    arguments = parser.parse_args()
    files = find_oracle(cache_directory())
    if arguments.programs:
        definitions = (arguments.programs / "istio-crds.yaml", arguments.programs / "gateway-api-crds.yaml")
        files = OracleFiles(program=arguments.programs / "oracle", definitions=definitions)
    make = partial(broken_mesh, kinds=arguments.broken) if arguments.broken else mesh
    kinds: Counter[tuple[str, str]] = Counter()
    seeds: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    ended: defaultdict[str, list[int]] = defaultdict(list)
    disagreeing = mirrors = refused = 0
    begin = time.monotonic()
    with start_oracle(files) as oracle:
        for seed in range(arguments.first, arguments.end):
            result = compare(make(seed), oracle)
            if result.ended:
                ended[result.ended].append(seed)
            disagreeing += bool(result.disagreements)
            mirrors += bool(result.mirrors)
            refused += bool(result.refused)
            for key in {(each.kind, each.note) for each in result.disagreements}:
                kinds[key] += 1
                seeds[key].append(seed)
        for key, count in sorted(kinds.items(), key=lambda each: (each[0][0], -each[1])):
            print(count, *key, json.dumps(seeds[key][:5]), sep="  ")
            if arguments.shrink:
                print(yaml.safe_dump_all(_case(make(seeds[key][0]), key, oracle), sort_keys=False))
    for reason, those in ended.items():
        print(f"not compared {json.dumps(those)}: {reason}")
    count, seconds = arguments.end - arguments.first, time.monotonic() - begin
    shown = f"{mirrors} with a mirror rendered, {refused} with something refused"
    print(f"{count} meshes, {shown}, {disagreeing} disagree, {seconds:.0f} s")
    return int(bool(disagreeing) or not (mirrors or refused))


def _case(whole: list[Object], key: tuple[str, str], oracle: Oracle) -> list[Object]:
    """What is left of a mesh that shows a kind of disagreement.

    Objects that are refused only once something of them is missing would disagree for another reason, and so would a
    mesh without the Service that every one has.
    """
    refused = compare(whole, oracle).refused
    entrance = [each for each in whole if each["metadata"]["name"] == ENTRANCE]

    def shows(objects: list[Object]) -> bool:
        if not all(each in objects for each in entrance):
            return False
        try:
            result = compare(objects, oracle)
        except (KeyError, TypeError):  # too little is left to be completed to a cluster
            return False
        return result.refused <= refused and key in {(each.kind, each.note) for each in result.disagreements}

    return shrunk(whole, shows)


if __name__ == "__main__":
    sys.exit(main())
