"""Baseline and candidates from their files to a report: who may be compared, and the verdict."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

from firsttoken.errors import ConfigError, NotJudgedError, UsageError
from firsttoken.loadgen.compare import Difference, compare, overall
from firsttoken.loadgen.fairness import bottleneck
from firsttoken.loadgen.judge import Objective
from firsttoken.loadgen.likeness import unlike
from firsttoken.loadgen.records import Run, read
from firsttoken.loadtest.schema import Candidate, Change, ComparisonReport, Side

__all__ = ["Given", "comparison", "given"]

_NAMED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Given:
    """One side: a records file, or a folder with one for each repetition."""

    name: str
    files: tuple[Path, ...]
    runs: tuple[Run, ...]


def given(path: Path) -> Given:
    """The runs at a path, in the order of their files' names.  Raises ConfigError."""
    files = [path]
    if path.is_dir():
        files = sorted(path.glob("*.jsonl")) or sorted(path.glob("*/records.jsonl"))
        if not files:
            raise ConfigError(path, ["holds no records (*.jsonl or */records.jsonl)"])
    return Given(str(path), tuple(files), tuple(map(read, files)))


def comparison(
    baseline: Given,
    candidates: Sequence[Given],
    objectives: Sequence[Objective] = (),
    *,
    confidence: float = 0.99,
    threshold: float = 0.05,
    allow_different: bool = False,
) -> ComparisonReport:
    """The report of a comparison.

    Raises UsageError for sides that were asked different things, NotJudgedError where a load
    generator was the bottleneck; both are warnings with ``allow_different``.
    """
    warnings = _warnings(baseline, candidates, allow_different)
    rows = [
        compare(
            baseline.runs, one.runs, objectives,
            # Each candidate more is one more chance of a false alarm.
            confidence=1 - (1 - confidence) / len(candidates), threshold=threshold,
        )
        for one in candidates
    ]  # fmt: skip
    verdict, code = _verdict(rows)
    return ComparisonReport.model_validate(
        {
            "verdict": verdict,
            "exit_code": code,
            "headline": _headline(candidates, rows, threshold),
            "confidence": confidence,
            "threshold": threshold,
            "baseline": _side(baseline),
            "candidates": tuple(
                Candidate(
                    side=_side(one),
                    verdict=overall(found),
                    changes=tuple(map(_change, found)),
                )
                for one, found in zip(candidates, rows, strict=True)
            ),
            "warnings": warnings,
        }
    )


def _warnings(baseline: Given, candidates: Sequence[Given], allow: bool) -> tuple[str, ...]:
    """What speaks against the comparison, a sentence each; raised where it is not allowed."""
    found = []
    for side in (baseline, *candidates):
        found += _unfair(side, allow)
    for candidate in candidates:
        apart = unlike(baseline.runs, candidate.runs)
        if apart and not allow:
            raise UsageError(
                f"{candidate.name} cannot be compared with {baseline.name}"
                f" (--allow-different does so all the same): {'; '.join(apart)}"
            )
        found += [f"{candidate.name} differs in {one}" for one in apart]
    if all(len(side.runs) == 1 for side in (baseline, *candidates)):
        found.append(
            "one run a side: what differs from run to run of the same build is not in the"
            " intervals; give a folder with several runs a side"
        )
    return tuple(found)


def _unfair(side: Given, allow: bool) -> list[str]:
    """What makes a side no fair witness, a sentence a run."""
    found = []
    for file, run in zip(side.files, side.runs, strict=True):
        if not run.measured:
            raise NotJudgedError(f"{file}: no measured request")
        if why := bottleneck(run):
            if not allow:
                raise NotJudgedError(
                    f"{file}: the load generator was the bottleneck, because {why}"
                    " (--allow-different compares all the same)"
                )
            found.append(f"{file}: the load generator was the bottleneck, because {why}")
        if run.interrupted:
            found.append(f"{file}: interrupted: {run.stopped or 'before its end'}")
    return found


def _side(one: Given) -> Side:
    first = one.runs[0]
    return Side(
        name=one.name,
        files=tuple(map(str, one.files)),
        model=first.model,
        engine=first.engine,
        requests=sum(len(run.measured) for run in one.runs),
        schedule_hashes=tuple(sorted({run.schedule_hash for run in one.runs})),
    )


def _change(row: Difference) -> Change:
    """A row with numbers as exact as a bootstrap is: six digits."""
    return Change.model_validate(
        {
            name: float(f"{value:.6g}") if isinstance(value, float) else value
            for name, value in dataclasses.asdict(row).items()
        }
    )


def _verdict(rows: Sequence[Sequence[Difference]]) -> tuple[str, int]:
    every = list(itertools.chain.from_iterable(rows))
    if any(row.regression for row in every):
        return "regression", 1
    if any(overall(found) == "too little data" for found in rows):
        return "too little data", 3
    return "passed", 0


def _headline(
    candidates: Sequence[Given], rows: Sequence[Sequence[Difference]], threshold: float
) -> str:
    return " ".join(
        f"{one.name}: {_sentence(found, threshold)}"
        for one, found in zip(candidates, rows, strict=True)
    )


def _sentence(rows: Sequence[Difference], threshold: float) -> str:
    regressions = [row for row in rows if row.regression]
    if regressions:
        return f"a regression: {_listed(regressions)}."
    worse = [row for row in rows if row.verdict == "worse"]
    if worse:
        return f"worse, but by less than {threshold:.0%}: {_listed(worse)}."
    unsaid = [row.quantity for row in rows if row.verdict == "too little data"]
    but = f" Too little data for {', '.join(unsaid)}." if unsaid else ""
    better = [row for row in rows if row.verdict == "better"]
    if better:
        return f"better: {_listed(better)}.{but}"
    if len(unsaid) == len(rows):
        return "too little data to say anything."
    said = len(rows) - len(unsaid)
    return f"no difference shown in {said} of {len(rows)} quantities.{but}"


def _listed(rows: Sequence[Difference]) -> str:
    """The largest changes, in words."""
    ranked = sorted(rows, key=lambda row: -abs(row.change or 0.0))
    text = ", ".join(
        f"{row.quantity} {row.change:+.1%}" for row in ranked[:_NAMED] if row.change is not None
    )
    more = len(ranked) - _NAMED
    return f"{text} and {more} more" if more > 0 else text
