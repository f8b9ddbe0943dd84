"""Objective files to begin with, for common kinds of work, each figure with its source.

A figure between two bucket bounds of vLLM is taken to the next looser bound, and says so.
"""

from dataclasses import dataclass

__all__ = ["PRESETS", "text"]

_GUIDELLM = "GuideLLM, guide to service-level objectives"
_DISTSERVE = "DistServe (OSDI 2024), evaluation"


@dataclass(frozen=True, slots=True)
class _Line:
    """One objective as YAML, and where its figure comes from."""

    objective: str
    source: str


_AVAILABLE = _Line(
    "{name: availability, kind: availability, target: 99.5}",
    "common for an internal service; your own promise goes here",
)

PRESETS: dict[str, tuple[str, tuple[_Line, ...]]] = {
    "chat": (
        "People read while the answer is written.",
        (
            _Line(
                "{name: ttft, kind: latency, metric: ttft, threshold: 250ms, target: 99}",
                f"200 ms: {_GUIDELLM}; vLLM's next bound is 250 ms",
            ),
            _Line(
                "{name: tpot, kind: latency, metric: tpot, threshold: 50ms, target: 99}",
                f"50 ms: {_GUIDELLM}",
            ),
            _AVAILABLE,
        ),
    ),
    "rag": (
        "Long prompts with what was retrieved, short answers.",
        (
            _Line(
                "{name: ttft, kind: latency, metric: ttft, threshold: 500ms, target: 99}",
                f"300 ms: {_GUIDELLM}; vLLM's next bound is 500 ms",
            ),
            _Line(
                "{name: tpot, kind: latency, metric: tpot, threshold: 100ms, target: 99}",
                f"100 ms: {_GUIDELLM}",
            ),
            _Line(
                "{name: e2e, kind: latency, metric: e2e, threshold: 5s, target: 99}",
                f"3 s: {_GUIDELLM}; vLLM's next bound is 5 s",
            ),
            _AVAILABLE,
        ),
    ),
    "code-completion": (
        "A few tokens in the editor; late is as good as never.",
        (
            _Line(
                "{name: ttft, kind: latency, metric: ttft, threshold: 250ms, target: 90}",
                f"125 ms for 90 %: {_DISTSERVE}, HumanEval; vLLM's next bound is 250 ms",
            ),
            _Line(
                "{name: e2e, kind: latency, metric: e2e, threshold: 2s, target: 99}",
                f"2 s: {_GUIDELLM}",
            ),
            _AVAILABLE,
        ),
    ),
    "summarisation": (
        "Very long prompts, one answer each.",
        (
            _Line(
                "{name: ttft, kind: latency, metric: ttft, threshold: 20s, target: 90}",
                f"15 s for 90 %: {_DISTSERVE}, LongBench; vLLM's next bound is 20 s",
            ),
            _Line(
                "{name: tpot, kind: latency, metric: tpot, threshold: 150ms, target: 90}",
                f"150 ms for 90 %: {_DISTSERVE}, LongBench",
            ),
            _AVAILABLE,
        ),
    ),
    "batch": (
        "Nobody waits for one answer; the whole must be done in time.",
        (
            _Line(
                "{name: throughput, kind: throughput, of: requests, floor: 100, target: 95}",
                f"100 requests/s: {_GUIDELLM}; set it to what your hardware must do",
            ),
            _AVAILABLE,
        ),
    ),
    "agentic": (
        "Many calls in a row, each of which the next one waits for.",
        (
            _Line(
                "{name: e2e, kind: latency, metric: e2e, threshold: 5s, target: 99}",
                f"5 s: {_GUIDELLM}",
            ),
            _AVAILABLE,
        ),
    ),
}
"""Name -> what it is for, and its objectives."""


def text(preset: str, service: str) -> str:
    """The objective file of a preset, which must be one of ``PRESETS``."""
    purpose, lines = PRESETS[preset]
    found = [
        f"# {preset}: {purpose}",
        "# A start from published figures; change them to what your users need.",
        "version: firsttoken/v1",
        f"service: {service}",
        "period: 30d",
        "objectives:",
    ]
    for line in lines:
        found += [f"  # {line.source}", f"  - {line.objective}"]
    found.append("packs: [stall, absence, saturation, collector]")
    return "\n".join(found) + "\n"
