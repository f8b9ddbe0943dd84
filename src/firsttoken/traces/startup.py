"""vLLM's start-up trace as a cold-start breakdown: a tree of phases with the time of their own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firsttoken.otlp.values import Span

__all__ = ["ROOT", "Phase", "cold_starts"]

ROOT = "Overall Loading"
"""The root span of vLLM's start-up trace."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a start; ``offset`` and ``seconds`` from the start of the whole."""

    name: str
    process: str
    offset: float
    seconds: float
    phases: tuple["Phase", ...] = ()

    @property
    def own(self) -> float:
        """The part of its time in which none of its phases ran, in seconds."""
        covered, end = 0.0, self.offset
        for phase in self.phases:  # in the order of their start; workers run side by side
            begin = max(phase.offset, end)
            end = max(end, min(phase.offset + phase.seconds, self.offset + self.seconds))
            covered += max(0.0, end - begin)
        return max(0.0, self.seconds - covered)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, "Phase"]]:
        """The phase and all below it, each with its depth."""
        yield depth, self
        for phase in self.phases:
            yield from phase.walk(depth + 1)


def cold_starts(spans: Iterable[Span]) -> tuple[Phase, ...]:
    """One tree for each start that the spans tell of, in the order of their time.

    A trace whose root never came, as of a start that failed, begins at its earliest span.
    """
    traces: dict[str, list[Span]] = {}
    for span in spans:
        if span.attributes.get("code.function") is not None or span.name == ROOT:
            traces.setdefault(span.trace_id, []).append(span)
    starts = []
    for members in traces.values():
        members.sort(key=lambda s: (s.start, -s.end))
        known = {s.span_id for s in members}
        roots = [s for s in members if s.parent_id not in known]
        begin = members[0].start
        starts.append((begin, _tree(roots, members, begin)))
    return tuple(phase for _, found in sorted(starts, key=lambda s: s[0]) for phase in found)


def _tree(level: list[Span], members: list[Span], begin: int) -> tuple[Phase, ...]:
    phases = []
    for span in level:
        below = [s for s in members if s.parent_id == span.span_id]
        process = span.resource.get("vllm.process_name") or "APIServer"
        phases.append(
            Phase(
                name=span.name,
                process=str(process),
                offset=(span.start - begin) / 1e9,
                seconds=span.seconds,
                phases=_tree(below, members, begin),
            )
        )
    return tuple(phases)
