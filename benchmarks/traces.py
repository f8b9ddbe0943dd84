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
ROUNDS = 15


def _microseconds(work: Callable[[], object]) -> float:
    """The median time of a call for one request, in microseconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) / REQUESTS * 1e6


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
    """Print microseconds for each request: off, on, and as usual instrumentation does it."""
    records = tuple(_record(index) for index in range(REQUESTS))
    run = _run(records)
    rows = (
        ("headers, tracing off", lambda: [identify("n", i) for i in range(REQUESTS)]),
        ("headers, tracing on", lambda: [identify("n", i, tracing=True) for i in range(REQUESTS)]),
        ("a span of the SDK around each request", lambda: _as_instrumented(TracerProvider())),
        ("after the run: spans from records", lambda: client_spans(run, kept(records, Keep()))),
    )
    for name, work in rows:
        print(f"{name:<40} {_microseconds(work):8.2f} µs a request")


if __name__ == "__main__":
    report()
