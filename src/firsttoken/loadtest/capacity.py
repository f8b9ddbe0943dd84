"""The search for the capacity against a real server: each step a load, kept as it ends."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from firsttoken.errors import ConfigError
from firsttoken.loadgen.fairness import loosened, only_late
from firsttoken.loadgen.judge import Objective
from firsttoken.loadgen.records import Run
from firsttoken.loadgen.search import Aim, Outcome, Plan, Tried, next_plan, outcome
from firsttoken.loadgen.steady import Judgement, assess, needed
from firsttoken.loadtest.points import knee, point
from firsttoken.loadtest.saturation import cost, saturation
from firsttoken.loadtest.schema import CapacityReport, Evidence, Point, StepResult
from firsttoken.loadtest.step import Ask, Site, Stepped, run

__all__ = ["FEWEST_A_STEP", "Wanted", "ask_for", "judge_step", "report", "search"]

SHORT_STEP = 200
"""Requests of a step of which only the direction counts, if they come in time."""
SHORT_STEP_S = 30.0
FEWEST_A_STEP = 10
"""Requests without which a step is not worth its time."""
SHORTEST_S = 2.0
_LONGEST_WARMUP_S = 60.0
STEPS = "steps"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for and how; times are seconds, prices of one GPU for an hour.

    ``dispersed`` is the arrivals' dispersion.
    """

    objectives: tuple[Objective, ...]
    aim: Aim
    confidence: float = 0.95
    longest_step: float = 300.0
    warmup: float = 5.0
    seed: int = 0
    max_in_flight: int = 1024
    dispersed: float = 1.0
    gpus: int | None = None
    price: float | None = None
    think_time: float = 0.0
    at_least: float | None = None

    def identity(self, site: Site) -> dict[str, object]:
        """What a search that is gone on with must have in common with the one begun."""
        load = site.load_file.read_text(encoding="utf-8") if site.load_file else None
        return {
            "target": site.target,
            "model": site.model,
            "load": load,
            "objectives": [str(one) for one in self.objectives],
            "confidence": self.confidence,
            "precision": self.aim.precision,
            "seed": self.seed,
        }


def search(
    site: Site,
    wanted: Wanted,
    out: Path,
    told: Callable[[str], None],
    ended: Callable[[StepResult], None],
) -> tuple[StepResult, ...]:
    """All steps until the capacity is found or none is left; those in ``out`` are gone on from.

    Raises ConfigError when ``out`` holds another search, NotJudgedError when the target fails.
    """
    steps = list(_resume(site, wanted, out))
    for step in steps:
        ended(step)
    while (plan := next_plan([_tried(step) for step in steps], wanted.aim)) is not None:
        number = len(steps) + 1
        ask = ask_for(plan, wanted, steps)
        told(f"step {number}: {ask.rate:.3g} requests/s for {ask.duration:.0f} s")
        file = out / STEPS / f"{number:02}.jsonl"
        done = run(
            site,
            ask,
            file,
            lambda text, number=number, ask=ask: told(  # type: ignore[misc]
                f"step {number}: {ask.rate:.3g} requests/s: {text}"
            ),
            wanted.objectives,
            in_flight_max=wanted.max_in_flight,
            may_stop=True,
        )
        step = judge_step(number, plan, ask, done, wanted, f"{STEPS}/{file.name}")
        text = step.model_dump_json(indent=2) + "\n"
        file.with_suffix(".json").write_text(text, encoding="utf-8")
        steps.append(step)
        ended(step)
    return tuple(steps)


def _resume(site: Site, wanted: Wanted, out: Path) -> Sequence[StepResult]:
    """The steps that an earlier search left, in order; begins a new one where there is none."""
    folder, begun = out / STEPS, out / "search.json"
    identity = wanted.identity(site)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not begun.exists():
            begun.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
            return ()
        earlier = json.loads(begun.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(out, [f"cannot be written: {exc.strerror}"]) from None
    except ValueError:
        raise ConfigError(begun, ["not JSON; choose another --out"]) from None
    apart = [key for key, value in identity.items() if earlier.get(key) != value]
    if apart:
        raise ConfigError(
            out, [f"holds a search with another {', '.join(apart)}; choose another --out"]
        )
    steps = []
    for number in range(1, wanted.aim.most_steps + 1):
        file = folder / f"{number:02}.json"
        if not file.exists():
            break
        try:
            steps.append(StepResult.model_validate_json(file.read_text(encoding="utf-8")))
        except ValidationError as exc:
            raise ConfigError(file, [f"not a step: {exc.errors()[0]['msg']}"]) from None
    return steps


def ask_for(plan: Plan, wanted: Wanted, steps: Sequence[StepResult]) -> Ask:
    """The load of a planned step, after the steps so far."""
    size = needed(wanted.objectives, wanted.confidence, wanted.aim.precision, wanted.dispersed)
    seconds = size * max(1, plan.size) / plan.rate
    if not plan.fine:
        enough = max(SHORT_STEP_S, FEWEST_A_STEP / plan.rate)
        seconds = min(seconds, enough, SHORT_STEP / plan.rate)
    seconds = min(wanted.longest_step, max(SHORTEST_S, seconds))
    # Until the first answers end, fewer are in flight than in a steady state.
    durations = [step.point.e2e.p95 for step in steps if step.point.e2e and not step.stopped_early]
    warmup = max(wanted.warmup, min(_LONGEST_WARMUP_S, 2 * max(durations, default=0.0)))
    return Ask(
        rate=plan.rate, duration=seconds, warmup=warmup, seed=wanted.seed * 1000 + len(steps)
    )


def judge_step(
    number: int, plan: Plan, ask: Ask, done: Stepped, wanted: Wanted, records: str
) -> StepResult:
    """What a load that was run comes to, as a step of the search."""
    judged = assess(done.run, wanted.objectives, wanted.confidence)
    at = point(done.run, ask, wanted.objectives, done.seen, records, wanted.confidence)
    if done.hopeless:
        judged = dataclasses.replace(
            judged, verdict="fails", leaning="fails", reason=f"stopped early: {done.hopeless}"
        )
        # Requests that were cut off, or not yet sent, were offered all the same.
        at = at.model_copy(update={"offered_rate": plan.rate})
    excused = _servers_fault(judged, at) or _stands(done.run, judged, wanted)
    verdict = "not judged" if at.bottleneck and not excused else judged.verdict
    return StepResult.model_validate(
        {
            "number": number,
            "planned_rate": plan.rate,
            "size": plan.size,
            "verdict": verdict,
            "leaning": judged.leaning,
            "reason": (
                f"the load generator was the bottleneck: {at.bottleneck}"
                if verdict == "not judged"
                else judged.reason
            ),
            "stopped_early": done.hopeless is not None,
            "evidence": tuple(map(_evidence, judged.evidence)),
            "growth": judged.growth.requests if judged.growth else None,
            "growth_explained": judged.growth.explained if judged.growth else None,
            "point": at,
        }
    )


def _servers_fault(judged: Judgement, at: Point) -> bool:
    """Whether requests that had to wait for ``max_in_flight`` did so because the server is slow."""
    return (
        judged.verdict == "fails" and at.bottleneck is not None and "max_in_flight" in at.bottleneck
    )


def _stands(run: Run, judged: Judgement, wanted: Wanted) -> bool:
    """Whether what was decided is so, although the load generator was late.

    Lateness makes latencies look longer and arrivals more bunched, so that what holds held all the
    more; and what fails must fail with all of it taken off.
    """
    if not only_late(run, wanted.objectives) or judged.verdict == "undecided":
        return False
    if judged.verdict == "holds":
        return True
    fair = assess(run, loosened(run, wanted.objectives), wanted.confidence)
    return fair.verdict == "fails"


def _evidence(one: object) -> Evidence:
    from firsttoken.loadgen.steady import Evidence as Found

    assert isinstance(one, Found)  # noqa: S101
    return Evidence(
        objective=str(one.objective.name),
        target=one.objective.target,
        attained=None if math.isnan(one.attained) else one.attained,
        low=one.low,
        high=one.high,
        requests=one.count,
        effective=one.effective,
    )


def _tried(step: StepResult) -> Tried:
    at = step.point
    return Tried(
        # The rate as it came to be: what chance made of the arrivals is not the server's doing.
        rate=at.offered_rate or step.planned_rate,
        verdict=step.verdict,
        leaning=step.leaning,
        fine=step.size > 0,
        served=at.request_rate or None,
        serial=1 / at.e2e.p50 if at.e2e and at.e2e.p50 > 0 else None,
    )


# --- What it comes to -----------------------------------------------------------------------------


def report(
    steps: Sequence[StepResult], site: Site, wanted: Wanted, engine: str | None, command: str
) -> CapacityReport:
    """The report of a search, from its steps."""
    found = outcome([_tried(step) for step in steps], wanted.aim)
    points = [step.point for step in steps]
    rate = found.estimate or found.low
    base = _base(steps, found)
    verdict = _verdict(found, steps)
    scale = rate / base.request_rate if rate and base and base.request_rate else None
    duration = base.e2e_mean if base and base.e2e_mean else 0.0
    return CapacityReport.model_validate(
        {
            "verdict": verdict,
            "exit_code": _exit_code(verdict, found, wanted),
            "headline": _headline(verdict, found, wanted),
            "target": site.target,
            "model": site.model,
            "engine": engine,
            "objectives": tuple(str(one) for one in wanted.objectives),
            "confidence": wanted.confidence,
            "precision": wanted.aim.precision,
            "low": found.low,
            "high": found.high,
            "estimate": found.estimate,
            "output_tokens": base.output_rate * scale if base and scale else None,
            "input_tokens": base.input_rate * scale if base and scale else None,
            "users": rate * (duration + wanted.think_time) if rate and base else None,
            "think_time": wanted.think_time,
            "knee": knee(points),
            "saturation": saturation(points) if points else None,
            "cost": (
                cost(base, rate, gpus=wanted.gpus, price=wanted.price) if base and rate else None
            ),
            "at_least": wanted.at_least,
            "steps": tuple(steps),
            "command": command,
        }
    )


def _base(steps: Sequence[StepResult], found: Outcome) -> Point | None:
    """The step that holds at the highest rate: what was measured there is scaled to the result."""
    holding = [step.point for step in steps if step.verdict == "holds"]
    if found.low is not None:
        holding = [one for one in holding if one.offered_rate <= found.low + 1e-9]
    return max(holding, key=lambda one: one.offered_rate, default=None)


def _verdict(found: Outcome, steps: Sequence[StepResult]) -> str:
    if found.precise:
        return "found"
    if found.low is None:
        lowest = min((step.point.offered_rate for step in steps), default=math.inf)
        # A lower rate that was left undecided may hold.
        failing = found.high is not None and lowest >= found.high - 1e-9
        return "none" if failing else "not precise"
    return "at least" if found.high is None else "not precise"


def _exit_code(verdict: str, found: Outcome, wanted: Wanted) -> int:
    if wanted.at_least is not None:
        if found.low is not None and found.low >= wanted.at_least:
            return 0
        if found.high is not None and found.high < wanted.at_least:
            return 1
        if verdict == "found" and found.estimate is not None:
            return 0 if found.estimate >= wanted.at_least else 1
        return 1 if verdict == "none" else 3
    return {"found": 0, "none": 1}.get(verdict, 3)


def _headline(verdict: str, found: Outcome, wanted: Wanted) -> str:
    sure = f"{wanted.confidence * 100:g} % confidence"
    if verdict == "none":
        text = f"No rate holds: even {found.high:.3g} requests/s fails, with {sure}."
    elif verdict == "at least":
        text = (
            f"At least {found.low:.3g} requests/s hold, with {sure}; no rate that fails was found."
        )
    elif found.high is None:
        text = "Not found: no step decided anything; allow longer steps or a wider precision."
    elif found.low is None:
        text = (
            f"Less than {found.high:.3g} requests/s, which fails, with {sure}; no lower rate was"
            " shown to hold: allow longer steps or a wider precision."
        )
    else:
        text = (
            f"All objectives hold up to {found.estimate:.3g} requests/s ({found.low:.3g} to"
            f" {found.high:.3g}, with {sure})."
        )
        if verdict != "found":
            text += f" That is less precise than the {wanted.aim.precision:.0%} asked for."
    if wanted.at_least is not None:
        text += f" Asked for: at least {wanted.at_least:g} requests/s."
    return text
