"""The load generator's requests as OpenTelemetry spans, made from records after the run.

Records hold every time, so nothing of this runs while requests are being timed, and which spans are
worth keeping is decided when all is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from firsttoken.catalogue import (
    ERROR_TYPE,
    OPERATION,
    PROVIDER,
    REQUEST_MODEL,
    SERVER_ADDRESS,
    SERVER_PORT,
)
from firsttoken.loadgen.identity import span_id
from firsttoken.loadgen.records import Record, Run
from firsttoken.traces.conventions import FIRST_TOKEN, SENT

__all__ = ["Keep", "client_spans", "kept"]

QUEUE_SPAN = "wait for the load generator"
WORTH_A_SPAN_S = 0.001
_SCOPE = InstrumentationScope("firsttoken.loadgen")
_ENDPOINT_OPERATIONS = {"chat": "chat", "completions": "text_completion"}
_Attribute = str | bool | int | float | Sequence[str]


@dataclass(frozen=True, slots=True)
class Keep:
    """Which requests' spans are kept: a share of all, the slowest, and every failed one.

    ``ratio`` is decided by the trace id, as OpenTelemetry's TraceIdRatioBased does, so that other
    parts of a trace that are sampled so are kept or dropped with it.  ``slowest`` counts twice: of
    the longest by scheduled E2E and of the longest by scheduled TTFT.
    """

    ratio: float = 1.0
    slowest: int = 10


def kept(records: Sequence[Record], keep: Keep) -> tuple[Record, ...]:
    """The records whose spans are kept, in their order; requests that were never sent have none."""
    sent = [r for r in records if r.trace_id and r.sent is not None and r.ended is not None]
    bound = round(keep.ratio * 2**64)
    chosen = {r.index for r in sent if not r.ok or int(r.trace_id[16:], 16) < bound}  # type: ignore[index]
    for latency in ("scheduled_e2e", "scheduled_ttft"):
        ranked = sorted(sent, key=lambda r: getattr(r, latency) or 0.0, reverse=True)
        chosen |= {r.index for r in ranked[: keep.slowest]}
    return tuple(r for r in sent if r.index in chosen)


def client_spans(run: Run, records: Sequence[Record]) -> tuple[ReadableSpan, ...]:
    """One client span for each record, from when it was due to the end of its answer.

    A child span shows the wait on the load generator's side where it was worth a look; events
    mark when the request was sent and when its first token came.
    """
    resource = Resource.create({"service.name": "firsttoken-load"})
    maker = _Maker(run, resource)
    return tuple(span for record in records for span in maker.spans(record))


class _Maker:
    """What all spans of one run have in common."""

    def __init__(self, run: Run, resource: Resource) -> None:
        self._zero = round(run.started * 1e9)
        self._resource = resource
        url = urlsplit(run.target)
        self._operation = _ENDPOINT_OPERATIONS.get(str(run.load.get("api")), "chat")
        self._model = run.model
        port = url.port or (443 if url.scheme == "https" else 80)
        self._common: dict[str, _Attribute] = {
            OPERATION.name: self._operation,
            PROVIDER.name: run.provider,
            SERVER_ADDRESS.name: url.hostname or "",
            SERVER_PORT.name: port,
            "gen_ai.request.stream": True,
        }

    def _at(self, seconds: float) -> int:
        """Nanoseconds since the Unix epoch of a time of the run."""
        return self._zero + round(seconds * 1e9)

    def spans(self, record: Record) -> list[ReadableSpan]:
        trace_id = record.trace_id or ""
        model = record.model or self._model
        assert record.sent is not None and record.ended is not None  # noqa: S101, PT018 - kept
        events = [Event(SENT, timestamp=self._at(record.sent))]
        if record.first is not None:
            events.append(Event(FIRST_TOKEN, timestamp=self._at(record.first)))
        own = _context(trace_id, span_id(trace_id))
        spans = [
            ReadableSpan(
                name=f"{self._operation} {model}",
                context=own,
                resource=self._resource,
                attributes=self._attributes(record, model),
                events=events,
                kind=SpanKind.CLIENT,
                status=Status(StatusCode.UNSET) if record.ok else _failed(record),
                start_time=self._at(record.intended),
                end_time=self._at(record.ended),
                instrumentation_scope=_SCOPE,
            )
        ]
        if record.lag is not None and record.lag >= WORTH_A_SPAN_S:
            spans.append(
                ReadableSpan(
                    name=QUEUE_SPAN,
                    context=_context(trace_id, trace_id[16:]),
                    parent=own,
                    resource=self._resource,
                    start_time=self._at(record.intended),
                    end_time=self._at(record.sent),
                    instrumentation_scope=_SCOPE,
                )
            )
        return spans

    def _attributes(self, record: Record, model: str) -> Mapping[str, _Attribute]:
        maybe: dict[str, _Attribute | None] = {
            REQUEST_MODEL.name: model or None,
            "gen_ai.request.max_tokens": record.output_target,
            "gen_ai.usage.input_tokens": record.prompt_tokens,
            "gen_ai.usage.output_tokens": record.output_tokens,
            "gen_ai.response.finish_reasons": record.finish_reason and [record.finish_reason],
            "gen_ai.response.time_to_first_chunk": record.ttft,
            "gen_ai.conversation.id": record.session,
            ERROR_TYPE.name: None if record.ok else _error_type(record),
            "firsttoken.request.index": record.index,
            "firsttoken.request.phase": record.phase,
        }
        return {**self._common, **{name: v for name, v in maybe.items() if v is not None}}


def _context(trace_id: str, own: str) -> SpanContext:
    return SpanContext(
        int(trace_id, 16), int(own, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )


def _error_type(record: Record) -> str:
    if record.status is not None and record.status >= 400:
        return str(record.status)
    return record.error_class or "_OTHER"


def _failed(record: Record) -> Status:
    return Status(StatusCode.ERROR, record.error)
