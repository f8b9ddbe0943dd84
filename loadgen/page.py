"""A run's own Prometheus page: what clients see, for runs so long that they are watched.

The names are those of OpenTelemetry's conventions for generative AI clients, as Prometheus writes
them, and stand here alone: the load generator takes nothing from what observes the server.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
"""

import asyncio
import bisect
import contextlib
import math
from array import array
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import pairwise

from firsttoken.errors import UsageError
from firsttoken.loadgen.record import Record

__all__ = ["Tally", "serving", "text"]

DURATION = "gen_ai_client_operation_duration_seconds"
FIRST_CHUNK = "gen_ai_client_operation_time_to_first_chunk_seconds"
PER_CHUNK = "gen_ai_client_operation_time_per_output_chunk_seconds"
TOKENS = "gen_ai_client_token_usage"
HELP = {
    DURATION: "Seconds from a request's send to the end of its answer.",
    FIRST_CHUNK: "Seconds from a request's send to the first chunk of its answer.",
    PER_CHUNK: "Seconds between successive chunks of an answer.",
    TOKENS: "Tokens of a request, by type.",
}
# The conventions' advice for buckets.
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
CHUNK = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
COUNTS = tuple(float(4**power) for power in range(14))
BOUNDS = {DURATION: SECONDS, FIRST_CHUNK: FIRST, PER_CHUNK: CHUNK, TOKENS: COUNTS}
Labels = tuple[tuple[str, str], ...]


class Tally:
    """Histograms of records; may be pickled, and added to another process' own."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, Labels], tuple[array[int], array[float]]] = {}

    def add(self, record: Record, model: str, operation: str) -> None:
        """Count a record."""
        labels: Labels = (
            ("gen_ai_operation_name", operation),
            ("gen_ai_request_model", record.model or model),
        )
        failed: Labels = (("error_type", record.error_class),) if record.error_class else ()
        self._observe(DURATION, labels + failed, _known(record.e2e))
        self._observe(FIRST_CHUNK, labels, _known(record.ttft))
        self._observe(PER_CHUNK, labels, record.gaps)
        for kind, count in (("input", record.prompt_tokens), ("output", record.output_tokens)):
            self._observe(TOKENS, (*labels, ("gen_ai_token_type", kind)), _known(count))

    def merge(self, other: "Tally") -> None:
        """Add what another has counted."""
        for key, (counts, total) in other.series.items():
            own, sums = self._series(*key)
            for number, count in enumerate(counts):
                own[number] += count
            sums[0] += total[0]

    def _observe(self, name: str, labels: Labels, values: Sequence[float]) -> None:
        if not values:
            return
        counts, total = self._series(name, labels)
        ordered = sorted(values)
        below = [bisect.bisect_right(ordered, bound) for bound in BOUNDS[name]]
        for number, (low, high) in enumerate(pairwise((0, *below, len(ordered)))):
            counts[number] += high - low
        total[0] += math.fsum(ordered)

    def _series(self, name: str, labels: Labels) -> "tuple[array[int], array[float]]":
        key = (name, labels)
        found = self.series.get(key)
        if found is None:
            found = array("Q", bytes(8 * (len(BOUNDS[name]) + 1))), array("d", [0.0])
            self.series[key] = found
        return found


def _known(value: float | None) -> tuple[float, ...]:
    return () if value is None else (value,)


def text(tally: Tally, provider: str) -> str:
    """The page, in Prometheus' text format; ``provider`` is the run's."""
    lines = []
    for name, help_text in HELP.items():
        lines += [f"# HELP {name} {help_text}", f"# TYPE {name} histogram"]
        for (other, labels), (counts, total) in sorted(tally.series.items()):
            if other != name:
                continue
            every = (*labels, ("gen_ai_provider_name", provider))
            shared = ",".join(f'{label}="{_escaped(value)}"' for label, value in every)
            count = 0
            for bound, more in zip((*map(_number, BOUNDS[name]), "+Inf"), counts, strict=True):
                count += more
                lines.append(f'{name}_bucket{{{shared},le="{bound}"}} {count}')
            lines += [f"{name}_sum{{{shared}}} {total[0]:.9g}", f"{name}_count{{{shared}}} {count}"]
    return "\n".join(lines) + "\n"


@contextlib.asynccontextmanager
async def serving(listen: str | None, page: Callable[[], str]) -> AsyncIterator[None]:
    """Serve the page at ``listen`` (HOST:PORT) while in the block.  Raises UsageError."""
    if listen is None:
        yield
        return
    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise UsageError(f"--metrics-listen {listen!r}: expected HOST:PORT")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            found = request.split(b" ")[1:2] in ([b"/metrics"], [b"/"])
            body = (page() if found else "not found\n").encode()
            head = {
                "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
                "Content-Length": str(len(body)),
                "Connection": "close",
            }
            status = "200 OK" if found else "404 Not Found"
            writer.write(f"HTTP/1.1 {status}\r\n".encode() + _head(head) + b"\r\n" + body)
            await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, host.strip("[]") or "127.0.0.1", int(port))
    except OSError as exc:
        raise UsageError(f"--metrics-listen {listen}: {exc.strerror}") from None
    async with server:
        yield


def _head(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


def _number(value: float) -> str:
    return f"{value:g}" if value < 1e6 else f"{value:.0f}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
