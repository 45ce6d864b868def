"""How fast the policy pack starts and judges 1,000 resources: ``python -m tests.bench.bench_policies``.

Bounds: 5 s from starting the process to its answer; 10 s for every resource one by one and then the whole stack.
The stack is the program's own staging stack with its greeter repeated under other names.
"""

import json
import sys
import time
from dataclasses import replace
from typing import Final

from tests.policy.driver import Given, pack_process, recorded
from tests.program.test_program import deploy

RESOURCES: Final = 1_000
START_LIMIT_SECONDS: Final = 5.0
JUDGE_LIMIT_SECONDS: Final = 10.0
SERVICE: Final = "greeter"
HOST: Final = "grpc-hello"


def large_stack(count: int) -> list[Given]:
    """The staging stack, with as many more services like its own as it takes."""
    own = recorded(deploy("staging"))
    repeated = [one for one in own if one.type.startswith("kubernetes:") and SERVICE in one.name]
    copies = (_renamed(one, number) for number in range(count) for one in repeated)
    return [*own, *(copy for copy, _ in zip(copies, range(count - len(own)), strict=False))]


def _renamed(one: Given, number: int) -> Given:
    text = json.dumps(one.props).replace(SERVICE, f"{SERVICE}-{number}").replace(HOST, f"{HOST}-{number}")
    name = one.name.replace(SERVICE, f"{SERVICE}-{number}")
    return replace(one, name=name, props=json.loads(text))


def main() -> int:
    """Measure, print, and say whether the bounds hold."""
    stack = large_stack(RESOURCES)
    began = time.perf_counter()
    with pack_process() as pack:
        policies = len(pack.info().policies)
        started = time.perf_counter() - began
        began = time.perf_counter()
        report = pack.judge(stack)
        judged = time.perf_counter() - began
    print(f"start: {started:.2f} s (at most {START_LIMIT_SECONDS:g} s), {policies} policies")
    print(f"{len(stack)} resources: {judged:.2f} s (at most {JUDGE_LIMIT_SECONDS:g} s), {len(report.said)} findings")
    return int(started > START_LIMIT_SECONDS or judged > JUDGE_LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
