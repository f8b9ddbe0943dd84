"""Sessions of a recorded trace: its requests in their order, at their times where wanted."""

from collections.abc import Iterator, Mapping

from firsttoken.loadgen.kinds import TraceReplay
from firsttoken.loadgen.plan import Blocks, Planned, Session, Synthetic
from firsttoken.loadgen.trace import Row, Trace
from firsttoken.loadgen.tracefile import read_trace

__all__ = ["TraceWorkload"]


class TraceWorkload:
    """The requests of a trace; ``seconds`` of it where that is all that will be asked.

    Raises ConfigError for a file that cannot be used.
    """

    def __init__(self, kind: TraceReplay, seconds: float | None) -> None:
        self._kind = kind
        self.trace: Trace = read_trace(
            kind.file,
            start=kind.start,
            length=seconds,
            longest=kind.longest,
            block_tokens=kind.block_tokens,
        )

    @property
    def longest(self) -> int | None:
        """The most tokens, prompt and answer, that a request has."""
        return max(row.prompt + row.output for row in self.trace.rows)

    @property
    def models(self) -> frozenset[str]:
        """The models that are asked for by name."""
        return frozenset(filter(None, map(self._model, self.trace.rows)))

    @property
    def skipped(self) -> Mapping[str, int]:
        """What of the trace cannot be asked, counted by reason."""
        return self.trace.skipped

    def sessions(self, seed: int) -> Iterator[Session]:  # noqa: ARG002 (a trace is what it is)
        """The requests once, in order; ``intended`` is the trace's own time in seconds."""
        for row in self.trace.rows:
            yield (
                Planned(
                    Blocks(row.prompt, row.blocks, self._kind.block_tokens)
                    if row.blocks
                    else Synthetic(row.prompt),
                    row.output,
                    intended=row.at,
                    workload="trace",
                    model=self._model(row),
                    session=row.session,
                ),
            )

    def _model(self, row: Row) -> str | None:
        return self._kind.models.get(row.model) if row.model else None
