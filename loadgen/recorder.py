"""Turns flows that have ended into records, between other things, and counts as it goes."""

from collections import Counter, deque
from collections.abc import Callable

from firsttoken.loadgen.dialect import Answer
from firsttoken.loadgen.flow import Flow
from firsttoken.loadgen.record import INTERRUPTED, ErrorClass, Record

__all__ = ["Recorder", "error_class"]

_RECENT = 1024


class Recorder:
    """Gives each record to ``write``; ``zero`` is the run's start on the monotonic clock."""

    def __init__(self, write: Callable[[Record], None], *, exact: bool) -> None:
        self._write, self._exact = write, exact
        self.zero = 0.0
        self.done = self.failed = self.output_tokens = 0
        self.errors: Counter[str] = Counter()
        self.ttfts: deque[float] = deque(maxlen=_RECENT)
        self.tpots: deque[float] = deque(maxlen=_RECENT)

    def __call__(self, flow: Flow) -> None:
        """Record a flow."""
        record = self.record(flow)
        self.done += 1
        self.output_tokens += record.output_tokens or 0
        if record.error_class is not None:
            self.failed += 1
            self.errors[record.error_class] += 1
        if record.ttft is not None:
            self.ttfts.append(record.ttft)
        if record.tpot is not None:
            self.tpots.append(record.tpot)
        self._write(record)

    def record(self, flow: Flow) -> Record:
        """The record of a flow."""
        planned, answer = flow.prepared.planned, flow.answer()
        error = self._error(flow, answer)
        times = answer.times
        return Record(
            index=planned.index,
            intended=flow.intended,
            sent=self._since(flow.sent),
            first=self._since(times[0]) if times else None,
            last=self._since(times[-1]) if times else None,
            ended=self._since(flow.ended),
            chunks=len(times),
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            output_source=answer.output_source,
            status=flow.status,
            error=error,
            finish_reason=answer.finish_reason,
            gaps=answer.gaps,
            phase=flow.phase,
            error_class=None if error is None else error_class(error),
            first_byte=self._since(flow.first_byte),
            bytes=flow.bytes,
            prompt_target=planned.prompt.tokens,
            output_target=planned.output_tokens,
            workload=planned.workload,
            model=planned.model,
            session=planned.session,
            turn=planned.turn,
            trace_id=flow.prepared.trace_id,
        )

    def _error(self, flow: Flow, answer: Answer) -> str | None:
        if flow.error is not None:
            return flow.error
        if flow.status != 200:
            return f"http {flow.status}"
        if answer.error is not None:
            return answer.error
        target, count = flow.prepared.planned.output_tokens, answer.output_tokens
        # A model that ended by itself may be short; one that was cut at its length may not.
        if (
            self._exact
            and target is not None
            and answer.output_source == "usage"
            and count != target
            and answer.finish_reason == "length"
        ):
            return f"wrong token count: {count} for {target}"
        return None

    def _since(self, at: float | None) -> float | None:
        return None if at is None else at - self.zero


_CLASSES: tuple[tuple[str, ErrorClass], ...] = (
    ("connection refused", "refused"),
    ("name not resolved", "dns"),
    ("connection lost mid-stream", "cut_short"),
    ("connection lost", "reset"),
    ("certificate not trusted", "tls"),
    ("TLS handshake", "tls"),
    ("connect timeout", "timeout"),
    ("timeout", "timeout"),
    ("http ", "http"),
    ("bad answer", "protocol"),
    ("not an event stream", "protocol"),
    ("error in", "stream"),
    ("stream ended", "cut_short"),
    ("no tokens", "empty"),
    ("wrong token count", "wrong_token_count"),
    (INTERRUPTED, "interrupted"),
)


def error_class(error: str) -> ErrorClass:
    """The class of an error, by how it begins."""
    return next((found for begin, found in _CLASSES if error.startswith(begin)), "unreachable")
