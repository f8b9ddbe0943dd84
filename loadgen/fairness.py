"""Whether a run says more of the load generator than of the server."""

import dataclasses
from collections.abc import Sequence

from firsttoken.loadgen.judge import Objective
from firsttoken.loadgen.record import Generator, Run
from firsttoken.loadgen.summary import distribution

__all__ = ["bottleneck", "loosened", "only_late"]

CPU_LIMIT = 0.9
LATE_LIMIT_S = 0.005
LATE_LOOP_LIMIT_S = 0.010
LATE_SHARE = 0.05
"""Of the median TTFT, or of the shortest time that is judged."""
_OF_SUCCESS_S = 1.0
"""Whether a request is answered at all does not hang on when in a second it is sent."""


def bottleneck(run: Run, objectives: Sequence[Objective] = ()) -> str | None:
    """Why the run is no fair witness; None when it is one.

    Lateness counts where it is material: beyond a few milliseconds, and beyond a twentieth of the
    median TTFT and of the shortest time in ``objectives``.
    """
    own = run.generator
    beside = LATE_SHARE * max(_median_ttft(run), _shortest(run, objectives))
    limit, loop_limit = max(LATE_LIMIT_S, beside), max(LATE_LOOP_LIMIT_S, beside)
    if own.cpu_share > CPU_LIMIT:
        return f"it used {own.cpu_share:.0%} of its core (limit {CPU_LIMIT:.0%})"
    if run.open_loop and own.held_back:
        most = run.load.get("max_in_flight")
        return f"{own.held_back} requests waited because max_in_flight is {most}"
    # The percentile of few requests hangs on one or two of them: only what is certain counts.
    if own.lag_p99_low > limit:
        return f"it took requests up {_ms(own.lag_p99)} late at p99 (limit {_ms(limit)})"
    if own.late_wakeups > loop_limit:
        return f"its event loop was {_ms(own.late_wakeups)} late at p99 (limit {_ms(loop_limit)})"
    return None


def only_late(run: Run, objectives: Sequence[Objective] = ()) -> bool:
    """Whether it is no fair witness for its lateness alone: not busy, and nothing was held back."""
    own = run.generator
    punctual = Generator(cpu_share=own.cpu_share, held_back=own.held_back)
    return (
        bottleneck(run, objectives) is not None
        and bottleneck(dataclasses.replace(run, generator=punctual), objectives) is None
    )


def loosened(run: Run, objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """The objectives, with what the generator's lateness may have added to what it measured."""
    late = max(run.generator.lag_p99, run.generator.late_wakeups)
    return tuple(
        one
        if one.threshold is None
        else dataclasses.replace(one, threshold=one.threshold + late / _spread(run, one))
        for one in objectives
    )


def _median_ttft(run: Run) -> float:
    found = distribution(record.ttft for record in run.measured if record.ok)
    return found.p50 if found else 0.0


def _shortest(run: Run, objectives: Sequence[Objective]) -> float:
    """Seconds: the shortest time that an objective looks at; 0 without any."""
    return min(
        (
            _OF_SUCCESS_S if one.threshold is None else one.threshold * _spread(run, one)
            for one in objectives
        ),
        default=0.0,
    )


def _spread(run: Run, objective: Objective) -> float:
    """What a delay of one token is divided by: a TPOT's by the tokens after the first."""
    if objective.metric != "tpot":
        return 1.0
    tokens = distribution(r.output_tokens for r in run.measured if r.ok and r.output_tokens)
    return max(1.0, tokens.p50 - 1) if tokens else 1.0


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
