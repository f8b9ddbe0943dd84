"""What the client saw, as the report has it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from firsttoken.loadgen import summary
from firsttoken.loadgen.judge import Objective as Promise
from firsttoken.loadgen.judge import goodput
from firsttoken.loadgen.records import Run
from firsttoken.loadgen.settings import LoadFile
from firsttoken.report.schema import Distribution, LoadResult

__all__ = ["described", "load_file", "load_result"]


def load_result(run: Run, promises: Sequence[Promise]) -> LoadResult:
    """Counts, rates and latencies of the measured window."""
    numbers = summary.summarise(run)
    named = {
        "TTFT": numbers.ttft,
        "scheduled TTFT": numbers.scheduled_ttft,
        "TPOT": numbers.tpot,
        "ITL": numbers.itl,
        "E2E": numbers.e2e,
    }
    if not run.open_loop:
        del named["scheduled TTFT"]  # a closed loop has no schedule that could be missed
    return LoadResult(
        described=described(run.load),
        settings=run.load,
        schedule_hash=run.schedule_hash,
        started=run.started,
        window=run.measure,
        requests=numbers.requests,
        ok=numbers.ok,
        failed=numbers.failed,
        offered_rate=numbers.offered_rate,
        request_rate=numbers.request_rate,
        input_token_rate=numbers.input_rate,
        output_token_rate=numbers.output_rate,
        concurrency=numbers.achieved_concurrency,
        goodput=goodput(run, promises) if promises else None,
        latencies={
            name: Distribution(**dataclasses.asdict(one)) for name, one in named.items() if one
        },
    )


def load_file(run: Run) -> dict[str, Any]:
    """The load as a file that can be run again, with what flags changed in it."""
    known = {name: run.load[name] for name in LoadFile.model_fields if name in run.load}
    return {**known, "model": run.model}


def described(load: Mapping[str, Any]) -> str:
    """A load in words, such as ``8 users at a time, prompts of 256 and answers of 64 tokens``."""
    arrivals = load.get("arrivals") or {}
    kind = arrivals.get("kind")
    if kind == "closed":
        users = arrivals.get("concurrency")
        who = f"{users} users at a time" if users != 1 else "one user at a time"
    else:
        who = _open(kind, arrivals)
    prompts, answers = _tokens(load.get("prompt_tokens")), _tokens(load.get("output_tokens"))
    return f"{who}, prompts of {prompts} and answers of {answers} tokens"


def _open(kind: Any, arrivals: Mapping[str, Any]) -> str:
    """An open loop's arrivals in words."""
    rate = arrivals.get("rate")
    match kind:
        case "steps":
            rates = ", ".join(f"{step['rate']:g}" for step in arrivals["steps"])
            return f"{rates} requests per second, one after another"
        case "ramp":
            return f"from {arrivals['start']:g} to {arrivals['end']:g} requests per second"
        case "sine":
            return f"{rate:g} ± {arrivals['amplitude']:g} requests per second"
        case "recorded":
            return f"at recorded times{f', {rate:g} requests per second' if rate else ''}"
        case "gamma":
            how = f"in bursts (gamma, burstiness {arrivals['burstiness']:g})"
        case _:
            how = "evenly spaced" if kind == "constant" else "at random times (Poisson)"
    return f"{rate:g} requests per second, {how}"


def _tokens(lengths: Any) -> str:
    if not isinstance(lengths, dict):
        return str(lengths)
    match lengths.get("kind"):
        case "fixed":
            return f"{lengths['tokens']}"
        case "uniform":
            return f"{lengths['low']} to {lengths['high']}"
        case "normal":
            return f"about {lengths['mean']:g} (±{lengths['stddev']:g})"
        case _:
            return f"about {lengths.get('median', 0):g} (long-tailed)"
