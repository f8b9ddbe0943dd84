"""Client records and server spans of the same requests: where each one's time went.

A request's parts add up to what its user waited (scheduled E2E).  Each clock's durations are only
ever subtracted from durations of the other, never times from times, so clocks may differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from firsttoken.loadgen.identity import span_id
from firsttoken.loadgen.records import Record
from firsttoken.traces.server import Served

__all__ = ["ORDER", "Breakdown", "By", "Joined", "Parts", "join"]

By = Literal["e2e", "ttft"]


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the time of one request, or of the mean request, went; seconds.

    ``lag``: from due to sent.  ``network``: between client and server, both ways, with what the
    server does before and after it counts.  ``admission``: at the server until the engine has the
    request.  ``queue``, ``prefill``, ``decode``: in the engine.  ``delivery``: the rest of what the
    server counts.  ``tail``: from the last content to the end of the response.
    """

    lag: float
    network: float
    admission: float
    queue: float
    prefill: float
    decode: float
    delivery: float
    tail: float

    @property
    def total(self) -> float:
        """All parts: the scheduled E2E latency."""
        return sum(float(getattr(self, name)) for name in ORDER)

    @property
    def server(self) -> float:
        """What the server itself counts as the request's time."""
        return self.admission + self.queue + self.prefill + self.decode + self.delivery

    @property
    def explained(self) -> float:
        """The share of the server's time of which it says itself what it was; 1 of no time.

        Admission, queue, prefill and decode are measured, delivery is what they leave or exceed.
        """
        return 1.0 - abs(self.delivery) / self.server if self.server > 0 else 1.0


ORDER: tuple[str, ...] = tuple(field.name for field in fields(Parts))


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One request of which both sides are known; ``ttft`` and ``e2e`` as the user waited."""

    index: int
    trace_id: str
    request_id: str
    parts: Parts
    ttft: float | None
    e2e: float
    output_tokens: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Joined:
    """All requests of a run with what became of the join.

    ``client_only``: places (``index``) of requests of which the server said nothing, such as those
    that it refused or that were broken off.  ``server_only``: server spans of no request of the
    run.  ``misparented``: spans of a request's trace whose parent is not the request's span.
    """

    requests: tuple[Breakdown, ...]
    client_only: tuple[int, ...]
    server_only: int
    misparented: int

    @property
    def mean(self) -> Parts | None:
        """The mean of each part over all requests; None of none."""
        if not self.requests:
            return None
        count = len(self.requests)
        sums = (sum(getattr(r.parts, name) for r in self.requests) for name in ORDER)
        return Parts(*(total / count for total in sums))

    def slowest(self, count: int, by: By = "e2e") -> tuple[Breakdown, ...]:
        """The requests whose users waited longest, the slowest first."""
        ranked = sorted(self.requests, key=lambda r: getattr(r, by) or 0.0, reverse=True)
        return tuple(ranked[:count])


def join(records: Sequence[Record], spans: Iterable[Served]) -> Joined:
    """Join by trace id, and by request id where a server did not take up the trace.

    Of several server spans of one request (``n`` above 1, a router before the server) the longest
    counts.
    """
    known = {r.trace_id: r for r in records if r.trace_id}
    found: dict[str, list[Served]] = {}
    server_only = misparented = 0
    for span in spans:
        trace_id = _trace_of(span, known)
        if trace_id is None:
            server_only += 1
            continue
        in_trace = span.trace_id == trace_id
        misparented += in_trace and span.parent_id != span_id(trace_id)
        found.setdefault(trace_id, []).append(span)
    requests, client_only = [], []
    for record in records:
        mine = found.get(record.trace_id or "", [])
        one = _breakdown(record, max(mine, key=lambda s: s.e2e)) if mine else None
        if one is None:
            client_only.append(record.index)
        else:
            requests.append(one)
    return Joined(tuple(requests), tuple(client_only), server_only, misparented)


def _trace_of(span: Served, known: Mapping[str, Record]) -> str | None:
    if span.trace_id in known:
        return span.trace_id
    # Such as cmpl-0123...-0, where X-Request-Id is the trace id.
    return next((part for part in span.request_id.split("-") if part in known), None)


def _breakdown(record: Record, span: Served) -> Breakdown | None:
    """None where the request never left, or has not ended."""
    e2e = record.scheduled_e2e
    if record.sent is None or record.ended is None or e2e is None:
        return None
    last = record.ended if record.last is None else record.last
    parts = Parts(
        lag=record.sent - record.intended,
        network=last - record.sent - span.e2e,
        admission=span.admission,
        queue=span.queue,
        prefill=span.prefill,
        decode=span.decode,
        delivery=span.delivery,
        tail=record.ended - last,
    )
    return Breakdown(
        index=record.index,
        trace_id=record.trace_id or "",
        request_id=span.request_id,
        parts=parts,
        ttft=record.scheduled_ttft,
        e2e=e2e,
        output_tokens=record.output_tokens,
        error=record.error,
    )
