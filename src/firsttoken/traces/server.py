"""What a model server's span says of one request, whether it was normalised or not."""

from collections.abc import Iterable
from dataclasses import dataclass

from firsttoken.catalogue import (
    DECODE_DURATION,
    PREFILL_DURATION,
    QUEUE_DURATION,
    REQUEST_DURATION,
)
from firsttoken.otlp.values import Span, SpanKind
from firsttoken.traces.words import RENAMES, REQUEST_ID

__all__ = ["Served", "served"]


@dataclass(frozen=True, slots=True)
class Served:
    """One request at the server; times in seconds, ``ttft`` and ``e2e`` from its arrival."""

    trace_id: str
    parent_id: str
    request_id: str
    e2e: float
    queue: float
    prefill: float
    decode: float
    ttft: float | None

    @property
    def admission(self) -> float:
        """From arrival to the engine's queue, with the first token's way back.

        What the server measured as the TTFT less queue and prefill; 0 where it did not say any.
        """
        return 0.0 if self.ttft is None else self.ttft - self.queue - self.prefill

    @property
    def delivery(self) -> float:
        """What is left of the server's time: how much longer the last token's way back was than
        the first one's, and therefore below 0 where it was shorter.
        """
        return self.e2e - self.admission - self.queue - self.prefill - self.decode


_OLD = {new: old for old, new in RENAMES}
_TTFT = "gen_ai.response.time_to_first_chunk"
_PARTS = (QUEUE_DURATION.name, PREFILL_DURATION.name, DECODE_DURATION.name)


def served(spans: Iterable[Span]) -> tuple[Served, ...]:
    """The requests that spans of a model server tell of; other spans are passed over."""
    return tuple(found for span in spans if (found := _served(span)) is not None)


def _served(span: Span) -> Served | None:
    parts = [_seconds(span, name) for name in _PARTS]
    if span.kind is not SpanKind.SERVER or None in parts:
        return None
    queue, prefill, decode = (part or 0.0 for part in parts)
    e2e = _seconds(span, REQUEST_DURATION.name)
    own = span.attributes.get(REQUEST_ID)
    return Served(
        trace_id=span.trace_id,
        parent_id=span.parent_id,
        request_id=own if isinstance(own, str) else "",
        e2e=span.seconds if e2e is None else e2e,
        queue=queue,
        prefill=prefill,
        decode=decode,
        ttft=_seconds(span, _TTFT),
    )


def _seconds(span: Span, name: str) -> float | None:
    value = span.attributes.get(name, span.attributes.get(_OLD.get(name, name)))
    return float(value) if isinstance(value, int | float) else None
