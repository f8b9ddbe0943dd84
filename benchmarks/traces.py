"""``python -m benchmarks.traces``: what tracing costs, on a request's way and after the run."""

import statistics
import time
from collections.abc import Callable

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from firsttoken.loadgen.identity import identify
from firsttoken.loadgen.records import VERSION, Generator, Record, Run
from firsttoken.traces.clientspans import Keep, client_spans, kept

__all__ = ["report"]

REQUESTS = 2000
ROUNDS = 25


def _microseconds(work: Callable[[], object]) -> float:
    """The time of one round for one request, in microseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / REQUESTS * 1e6


def _record(index: int) -> Record:
    at = float(index)
    return Record(
        index, at, at, at + 0.1, at + 1, at + 1, 64, 64, 64, "usage", 200, None, "length", (),
        "measure", trace_id=identify("n", index).trace_id,
    )  # fmt: skip


def _run(records: tuple[Record, ...]) -> Run:
    load = {"api": "chat"}
    return Run(
        VERSION, "http://127.0.0.1:8000", "tiny", "vllm 0.32.0", 0.0, (0.0, 1e9), load, "", False,
        None, Generator(), records,
    )  # fmt: skip


def _as_instrumented(tracer_provider: TracerProvider) -> None:
    """What a client pays that makes its spans and headers while it sends."""
    tracer, propagator = tracer_provider.get_tracer("x"), TraceContextTextMapPropagator()
    for _ in range(REQUESTS):
        with tracer.start_as_current_span("chat tiny", kind=SpanKind.CLIENT) as span:
            propagator.inject({})
            span.set_attribute("gen_ai.request.model", "tiny")


def report() -> None:
    """Print microseconds for each request: off, on, after the run, and as SDKs usually do it.

    Rounds of all take turns, so that what disturbs the machine disturbs each alike.
    """
    records = tuple(_record(index) for index in range(REQUESTS))
    run = _run(records)
    usual = TracerProvider()
    rows: dict[str, Callable[[], object]] = {
        "on the way: headers, tracing off": lambda: [identify("n", i) for i in range(REQUESTS)],
        "on the way: headers, tracing on": lambda: [
            identify("n", i, tracing=True) for i in range(REQUESTS)
        ],
        "on the way: a span of the SDK, not exported": lambda: _as_instrumented(usual),
        "afterwards: what is kept of 5 %": lambda: kept(records, Keep(0.05)),
        "afterwards: spans of all": lambda: client_spans(run, kept(records, Keep())),
    }
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, work in rows.items():
            times[name].append(_microseconds(work))
    print(f"µs a request, median of {ROUNDS} rounds of {REQUESTS} (lowest, highest)")
    for name, each in times.items():
        low, high = min(each), max(each)
        print(f"{name:<44} {statistics.median(each):7.2f}  ({low:.2f}, {high:.2f})")


if __name__ == "__main__":
    report()
