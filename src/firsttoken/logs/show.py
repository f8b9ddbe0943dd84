"""What a log told, for people and for machines."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from firsttoken.logs.story import Start, Told

__all__ = ["as_json", "lines"]

_GIB = 2**30


def as_json(told: Told) -> dict[str, Any]:
    """Everything as JSON data; times in ISO 8601, sizes in bytes, durations in seconds."""
    data = asdict(told)
    data["starts"] = [{**asdict(start), "seconds": start.seconds} for start in told.starts]
    data["aborted"] = told.aborted if told.counts_aborted else None
    found: dict[str, Any] = _plain(data)
    return found


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(item) for item in node]
    return node.isoformat() if isinstance(node, datetime) else node


def lines(told: Told, *, timeline: bool = True) -> Iterator[str]:
    """A summary and the timeline, as lines of text."""
    for start in told.starts:
        yield from _start(start)
    yield from _counts(told)
    if timeline and told.events:
        yield ""
        yield "timeline"
        first = next((event.time for event in told.events if event.time), None)
        for event in told.events:
            yield f"  {_when(event.time, first)}  {event.what}"


def _start(start: Start) -> Iterator[str]:
    took = "not ready" if start.seconds is None else f"ready after {start.seconds:.1f} s"
    yield f"vLLM {start.version or '(version not told)'}  {start.model or ''}  {took}".rstrip()
    for phase in start.phases:
        where = f"  ({phase.process})" if phase.process else ""
        yield f"  {phase.name:<18}{phase.seconds:>9.2f} s{where}"
    sizes = (
        ("weights", start.weights_bytes),
        ("CUDA graphs", start.graphs_bytes),
        ("KV cache", start.kv_bytes),
    )
    for name, size in sizes:
        if size is not None:
            yield f"  {name:<18}{size / _GIB:>9.2f} GiB"
    if start.kv_tokens is not None:
        room = (
            "" if start.concurrency is None else f", {start.concurrency:g} requests of full length"
        )
        yield f"  {'KV cache':<18}{start.kv_tokens:>9,} tokens{room}"
    if start.compile_seconds is not None:
        yield f"  {'compilation':<18}{start.compile_seconds:>9.2f} s"


def _counts(told: Told) -> Iterator[str]:
    loud = ", ".join(f"{count} {level}" for level, count in sorted(told.levels.items()))
    yield f"{told.lines} lines ({loud or 'no level told'}), {told.odd} in no known format"
    if told.http:
        yield "responses: " + ", ".join(
            f"{n} of {status}" for status, n in sorted(told.http.items())
        )
    if told.counts_aborted:
        yield f"aborted requests: {told.aborted}, failed with the engine: {told.failed}"
    else:
        yield "aborted requests: not told, since vLLM logs them only with --enable-log-requests"
    for ended in told.fatal:
        yield f"FATAL {ended.type}: {ended.text}"
    if told.content:
        yield (
            f"PRIVACY {told.content} lines hold prompts or answers, the first is line"
            f" {told.first_content}"
        )


def _when(time: datetime | None, first: datetime | None) -> str:
    if time is None or first is None:
        return f"{'':>19} {'':>10}"
    return f"{time:%Y-%m-%d %H:%M:%S} {(time - first).total_seconds():>+9.1f}s"
