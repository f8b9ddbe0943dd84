"""What a log told as a Prometheus page, under the catalogue's names."""

from collections.abc import Iterable, Iterator, Mapping

from firsttoken.attributes import HTTP_STATUS, LOG_LEVEL, STAGE
from firsttoken.catalogue import ERROR_TYPE, OPERATION, PROVIDER, REQUEST_MODEL, Attribute, Metric
from firsttoken.genai import (
    COMPILE_DURATION,
    CONCURRENCY_LIMIT,
    FATAL_ERRORS,
    KV_CACHE_LIMIT,
    KV_CACHE_SIZE,
    LOG_CONTENT,
    LOG_RECORDS,
    LOG_RESPONSES,
    REQUESTS_ABORTED,
    STARTUP_DURATION,
    WEIGHTS_SIZE,
)
from firsttoken.logs.story import Start, Told

__all__ = ["Sample", "page", "samples"]

Sample = tuple[Metric, Mapping[str, str], float]
"""A metric, its own attributes by name, and its value in the metric's unit."""


def samples(told: Told) -> Iterator[Sample]:
    """What the log told; what it did not tell has no sample, rather than a 0."""
    last = told.last
    for name, seconds in _phases(last).items():
        yield STARTUP_DURATION, {STAGE.name: name}, seconds
    maybe: tuple[tuple[Metric, float | None], ...] = (
        (WEIGHTS_SIZE, last.weights_bytes),
        (KV_CACHE_SIZE, last.kv_bytes),
        (KV_CACHE_LIMIT, last.kv_tokens),
        (CONCURRENCY_LIMIT, last.concurrency),
        (COMPILE_DURATION, last.compile_seconds),
        (REQUESTS_ABORTED, told.aborted if told.counts_aborted else None),
        (LOG_CONTENT, told.content if told.lines else None),
    )
    for metric, value in maybe:
        if value is not None:
            yield metric, {}, value
    yield from _by(FATAL_ERRORS, ERROR_TYPE, told.fatal_counts)
    yield from _by(LOG_RECORDS, LOG_LEVEL, told.levels)
    yield from _by(LOG_RESPONSES, HTTP_STATUS, told.http)


def _phases(start: Start) -> dict[str, float]:
    """Seconds by phase; of several workers' the longest, as that is what was waited for."""
    found: dict[str, float] = {}
    for phase in start.phases:
        found[phase.name] = max(phase.seconds, found.get(phase.name, 0.0))
    if start.seconds is not None:
        found["total"] = start.seconds
    return found


def _by(
    metric: Metric,
    attribute: Attribute,
    counts: Mapping[object, int] | Mapping[str, int] | Mapping[int, int],
) -> Iterator[Sample]:
    for key, count in sorted(counts.items(), key=str):
        yield metric, {attribute.name: str(key)}, count


def page(told: Told, model: str | None = None, operation: str = "chat") -> str:
    """The page in Prometheus' text format; ``model`` overrides what the log says."""
    common = {OPERATION.label: operation, PROVIDER.label: "vllm"}
    if name := model or told.last.model:
        common[REQUEST_MODEL.label] = name
    grouped: dict[str, tuple[Metric, list[str]]] = {}
    for metric, own, value in samples(told):
        labels = common | {Attribute(key).label: said for key, said in own.items()}
        lines = grouped.setdefault(metric.prometheus, (metric, []))[1]
        lines.append(f"{metric.prometheus}{{{_labels(labels)}}} {_number(value)}")
    return "".join(_family(metric, lines) for metric, lines in grouped.values())


def _family(metric: Metric, lines: Iterable[str]) -> str:
    head = f"# HELP {metric.prometheus} {metric.help}\n"
    return f"{head}# TYPE {metric.prometheus} {metric.instrument.prometheus_type}\n" + "".join(
        f"{line}\n" for line in lines
    )


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
