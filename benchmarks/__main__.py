"""``python -m benchmarks``: each hot path beside a yardstick that is measured in the same run.

The ratio is what can be compared between machines and days; milliseconds only within one run.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks import collector
from benchmarks import loadgen as generator
from firsttoken.dashboards.render import dashboards
from firsttoken.loadgen.sse import Decoder
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.slo import load as load_objectives

__all__ = ["main"]

ROOT = Path(__file__).parents[1]
ROUNDS = 30
EVENTS = 2000
CHUNK = json.dumps({"id": "x", "choices": [{"index": 0, "delta": {"content": "word"}}]})


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median time of a call."""
    return statistics.median(_timed(work) for _ in range(rounds))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def loadgen() -> Iterable[tuple[str, float, str, float]]:
    """Taking an answer of 2,000 chunks apart, against reading the JSON in them."""
    stream = "".join(f"data: {CHUNK}\n\n" for _ in range(EVENTS)).encode()
    decoded = seconds(lambda: Decoder().feed(stream))
    read = seconds(lambda: [json.loads(CHUNK) for _ in range(EVENTS)])
    return ((f"event stream, {EVENTS} chunks", decoded, "json.loads of each", read),)


def generators() -> Iterable[tuple[str, float, str, float]]:
    """Rules and dashboards, against reading the objectives they are made from."""
    file = ROOT / "examples" / "slo.yaml"
    read = seconds(lambda: load_objectives(file), 10)
    objectives = load_objectives(file)
    return (
        ("rules", seconds(lambda: rule_groups(objectives), 10), "reading objectives", read),
        ("dashboards", seconds(dashboards, 5), "reading objectives", read),
    )


def main() -> None:
    """Run everything and print one line for each."""
    collector.main()
    generator.report()
    print(f"{'what':32}{'median':>12}   {'times':>7}  of")
    for what, took, yardstick, unit in (*loadgen(), *generators()):
        print(f"{what:32}{took * 1000:9.2f} ms   {took / unit:7.2f}  {yardstick}")


if __name__ == "__main__":
    main()
