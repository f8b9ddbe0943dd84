"""``firsttoken load capacity``, ``sweep`` and ``compare``."""

from pathlib import Path
from typing import Any

import click

from firsttoken.errors import UsageError
from firsttoken.loadgen.search import Aim
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.steady import dispersion
from firsttoken.loadtest import capacity as search
from firsttoken.loadtest import sweep as sweeping
from firsttoken.loadtest.comparing import comparison, given
from firsttoken.loadtest.options import (
    FILE,
    FOLDER,
    Numbers,
    Seconds,
    Target,
    form_options,
    objectives_of,
    target_options,
)
from firsttoken.loadtest.output import command_line, write
from firsttoken.loadtest.schema import CapacityReport, ComparisonReport, SweepReport

__all__ = ["capacity", "compare", "sweep"]

_CODES = {
    "capacity": """0 found (and at least --at-least); 1 no rate holds, or it is less than
--at-least; 2 a wrong argument or file; 3 not found precisely enough, or the target failed;
130 interrupted (the same command goes on where it was).""",
    "sweep": """0 every load was run; 2 a wrong argument or file; 3 the target failed, or the load
generator was the bottleneck; 130 interrupted (the same command goes on where it was).""",
    "compare": """0 no regression shown; 1 a regression of at least the threshold; 2 a wrong
argument or file, or what cannot be compared; 3 too little data to say anything.""",
}


# --- Capacity -------------------------------------------------------------------------------------


@click.command(
    epilog=f"""\b
Examples:
  firsttoken load capacity --target http://127.0.0.1:8000 --slo slo.yaml --out out/capacity
  firsttoken load capacity --target http://127.0.0.1:8000 --objective 'ttft<500ms@95' \\
    --load load.yaml --start-rate 8 --price-per-gpu-hour 2.50 --gpus 1
  firsttoken load capacity --target http://127.0.0.1:8000 --slo slo.yaml --at-least 20

\b
Exit codes: {_CODES["capacity"]}
"""
)
@target_options
@click.option(
    "--start-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Where the search begins, requests/s; any guess will do.",
)
@click.option(
    "--max-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=10_000.0,
    show_default=True,
    help="Never ask for more requests/s.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0.005, 0.5),
    default=0.05,
    show_default=True,
    help="How far the result may be from the truth, as a share.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="Of the result's interval.",
)
@click.option(
    "--max-steps",
    type=click.IntRange(1, 99),
    default=12,
    show_default=True,
    help="Loads to run at most.",
)
@click.option(
    "--max-step",
    type=Seconds(),
    default="5m",
    show_default=True,
    help="The longest time of one load.",
)
@click.option(
    "--think-time",
    type=Seconds(),
    default="0s",
    show_default=True,
    help="Of a user between answer and next question, to give the result in users.",
)
@click.option("--gpus", type=click.IntRange(min=1), help="GPUs behind the target.")
@click.option(
    "--price-per-gpu-hour",
    "price",
    type=click.FloatRange(min=0, min_open=True),
    help="To give the cost of a million tokens, in the price's currency.",
)
@click.option(
    "--at-least",
    type=click.FloatRange(min=0, min_open=True),
    metavar="R",
    help="Fail where the capacity is below R requests/s.",
)
@form_options(CapacityReport)
def capacity(where: Target, form: str | None, **given_: Any) -> int:
    """Find the highest rate at which all objectives hold."""
    objectives = where.objectives
    if not objectives:
        raise UsageError("--slo or --objective is required: what must hold")
    for one in objectives:
        if one.target >= 1:
            raise UsageError(f"objective {one.name}: no number of requests shows 100 %; use 99.9")
    load = LoadFile.load(where.load_file) if where.load_file else LoadFile()
    wanted = search.Wanted(
        objectives=objectives,
        aim=_aim(given_),
        confidence=given_["confidence"],
        longest_step=given_["max_step"],
        warmup=load.warmup,
        seed=load.seed,
        max_in_flight=load.max_in_flight,
        dispersed=dispersion(load.arrivals.model_dump()),
        gpus=given_["gpus"],
        price=given_["price"],
        think_time=given_["think_time"],
        at_least=given_["at_least"],
    )
    with where.tested("capacity") as test:
        steps = search.search(test.site, wanted, test.folder, test.line.told, test.line.step)
        report = search.report(steps, test.site, wanted, test.engine, command_line(test.folder))
    write(report, test.folder, "capacity", form)
    return report.exit_code


def _aim(given_: dict[str, Any]) -> Aim:
    # A slower rate would not send its few requests within the longest step.
    lowest = search.FEWEST_A_STEP / given_["max_step"]
    if given_["max_rate"] < lowest:
        raise UsageError(f"--max-rate must be at least {lowest:.3g}, or --max-step longer")
    return Aim(
        start=given_["start_rate"],
        precision=given_["precision"],
        lowest=lowest,
        highest=given_["max_rate"],
        most_steps=given_["max_steps"],
    )


# --- Sweep ----------------------------------------------------------------------------------------


@click.command(
    epilog=f"""\b
Examples:
  firsttoken load sweep --target http://127.0.0.1:8000 --rate 1,2,4,8 --out out/sweep
  firsttoken load sweep --target http://127.0.0.1:8000 --concurrency 1,4,16,64 \\
    --prompt-tokens 128,1024 --output-tokens 64,256 --slo slo.yaml

\b
Exit codes: {_CODES["sweep"]}
"""
)
@target_options
@click.option("--rate", "rates", type=Numbers(float), help="Requests/s, such as 1,2,4,8.")
@click.option("--concurrency", "concurrencies", type=Numbers(int), help="Users, such as 1,4,16.")
@click.option("--prompt-tokens", "prompts", type=Numbers(int), help="Such as 128,1024.")
@click.option("--output-tokens", "outputs", type=Numbers(int), help="Such as 64,256.")
@click.option("--duration", type=Seconds(), help="Measured time of each load.")
@click.option("--warmup", type=Seconds(), help="Time under load before measuring.")
@click.option("--seed", type=int, help="Fixes arrivals and lengths.")
@form_options(SweepReport)
def sweep(where: Target, form: str | None, **axes: Any) -> int:
    """Run loads side by side: rates or concurrencies, by lengths of prompt and answer."""
    objectives = where.objectives
    grid = sweeping.Grid(**{name: value for name, value in axes.items() if value is not None})
    grid.asks()  # a mistake shows before all else
    with where.tested("sweep") as test:
        points = sweeping.sweep(
            test.site, grid, objectives, test.folder, test.line.told, test.line.point
        )
        report = sweeping.report(
            points, test.site, objectives, test.engine, command_line(test.folder)
        )
    write(report, test.folder, "sweep", form)
    return 3 if any(one.bottleneck for one in report.points) else 0


# --- Comparison -----------------------------------------------------------------------------------


@click.command(
    epilog=f"""\b
Examples:
  firsttoken load compare baseline.jsonl candidate.jsonl
  firsttoken load compare runs/v0.31 runs/v0.32 --regression-threshold 3%
  firsttoken load compare main.jsonl change.jsonl --slo slo.yaml --md >> $GITHUB_STEP_SUMMARY

\b
A folder holds the repetitions of one side, one records file each.
Exit codes: {_CODES["compare"]}
"""
)
@click.argument("baseline", type=click.Path(path_type=Path), required=False)
@click.argument("candidates", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--regression-threshold",
    "threshold",
    default="5%",
    show_default=True,
    help="What is worse by at least so much, and shown to be, is a regression.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 0.9999),
    default=0.99,
    show_default=True,
    help="That no quantity is called better or worse by chance.",
)
@click.option(
    "--allow-different",
    is_flag=True,
    help="Compare runs of different workloads, models or schedules all the same.",
)
@click.option("--slo", type=FILE, help="Objectives, to compare goodput too.")
@click.option("--objective", "texts", multiple=True, metavar="TEXT", help="The same, as a text.")
@click.option("--out", type=FOLDER, help="Write the report there in every form.")
@form_options(ComparisonReport)
def compare(
    baseline: Path | None, candidates: tuple[Path, ...], threshold: str, confidence: float,
    allow_different: bool, slo: Path | None, texts: tuple[str, ...], out: Path | None,
    form: str | None,
) -> int:  # fmt: skip
    """Compare runs with a baseline: what differs by more than chance."""
    if baseline is None or not candidates:
        raise UsageError("give a baseline and at least one candidate, such as a.jsonl b.jsonl")
    report = comparison(
        given(baseline),
        [given(one) for one in candidates],
        objectives_of(slo, texts),
        confidence=confidence,
        threshold=_share(threshold),
        allow_different=allow_different,
    )
    write(report, out, "comparison", form)
    return report.exit_code


def _share(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise UsageError(f"--regression-threshold {text}: expected a share such as 5% or 0.05")
    return value
