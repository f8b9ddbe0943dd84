"""Whether two sides of a comparison were asked the same."""

from collections.abc import Sequence

from firsttoken.loadgen.record import Run

__all__ = ["unlike"]

# Settings that say where a load goes or how it is made, not what it is.
_BESIDE_THE_POINT = {"headers", "model", "prompt_source", "seed", "tokenizer"}


def unlike(baseline: Sequence[Run], candidate: Sequence[Run]) -> list[str]:
    """Why two sides cannot be compared: what was asked of them differs, a sentence each."""
    found = []
    first, second = ({run.model for run in side} for side in (baseline, candidate))
    if first != second:
        found.append(f"model: {', '.join(sorted(first))} against {', '.join(sorted(second))}")
    loads = [{_canonical(run) for run in side} for side in (baseline, candidate)]
    if loads[0] != loads[1] or len(loads[0]) > 1:
        found += _settings_apart(baseline[0], candidate[0]) or ["load: the repetitions differ"]
    hashes = [{run.schedule_hash for run in side} for side in (baseline, candidate)]
    if not found and not hashes[0] & hashes[1]:
        found.append(
            f"schedule: {', '.join(sorted(hashes[0]))} against {', '.join(sorted(hashes[1]))}"
            " (another seed?)"
        )
    return found


def _canonical(run: Run) -> str:
    return repr(sorted((k, repr(v)) for k, v in run.load.items() if k not in _BESIDE_THE_POINT))


def _settings_apart(one: Run, other: Run) -> list[str]:
    keys = sorted({*one.load, *other.load} - _BESIDE_THE_POINT)
    return [
        f"{key}: {one.load.get(key)} against {other.load.get(key)}"
        for key in keys
        if one.load.get(key) != other.load.get(key)
    ]
