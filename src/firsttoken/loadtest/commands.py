"""``firsttoken load capacity``, ``sweep`` and ``compare``."""

import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from firsttoken.config import parse_duration
from firsttoken.errors import UsageError
from firsttoken.loadgen.judge import Objective, parse_objective
from firsttoken.loadgen.search import Aim
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadtest import capacity as search
from firsttoken.loadtest import forms
from firsttoken.loadtest import sweep as sweeping
from firsttoken.loadtest.comparing import comparison, given
from firsttoken.loadtest.observe import Nobody, observer
from firsttoken.loadtest.schema import (
    CapacityReport,
    ComparisonReport,
    Point,
    StepResult,
    SweepReport,
    schema_text,
)
from firsttoken.loadtest.step import Site
from firsttoken.rules import slo as slo_file
from firsttoken.validate import engine
from firsttoken.validate.judge import client_objectives
from firsttoken.validate.stack import Exporter

__all__ = ["capacity", "compare", "sweep"]

F = TypeVar("F", bound=Callable[..., Any])
INTERRUPTED_CODE = 130
_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)
_CODES = {
    "capacity": """0 found (and at least --at-least); 1 no rate holds, or it is less than
--at-least; 2 a wrong argument or file; 3 not found precisely enough, or the target failed;
130 interrupted (the same command goes on where it was).""",
    "sweep": """0 every load was run; 2 a wrong argument or file; 3 the target failed, or the load
generator was the bottleneck; 130 interrupted (the same command goes on where it was).""",
    "compare": """0 no regression shown; 1 a regression of at least the threshold; 2 a wrong
argument or file, or what cannot be compared; 3 too little data to say anything.""",
}


class _Seconds(click.ParamType[float]):
    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return parse_duration(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


class _List(click.ParamType[tuple[Any, ...]]):
    """Numbers with commas between, such as ``1,2,4``."""

    name = "list"

    def __init__(self, kind: type[int] | type[float]) -> None:
        self._kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self._kind(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if not numbers or min(numbers) <= 0:
            self.fail(f"expected numbers above 0 such as 1,2,4, not {value!r}", param, ctx)
        return tuple(dict.fromkeys(numbers))


def _target_options(command: F) -> F:
    for option in reversed(
        (
            click.option("--target", metavar="URL", help="The server.  [required]"),
            click.option("--model", help="Model to ask for; default: the one that is served."),
            click.option("--load", "load_file", type=_FILE, help="Load file (YAML): the workload."),
            click.option("--slo", type=_FILE, help="The objectives, a YAML file."),
            click.option("--objective", "texts", multiple=True, metavar="TEXT",
                         help="An objective such as ttft<500ms@95, besides or without --slo."),
            click.option("--gpu-exporter", "exporters", multiple=True, metavar="URL[,PROFILE]",
                         help="The page of a GPU exporter beside the server."),
            click.option("--out", type=_FOLDER, help="Folder of the report and of all records."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def _form_options(command: F) -> F:
    for option in reversed(
        (
            click.option("--json", "form", flag_value="json", help="Print the report as JSON."),
            click.option("--md", "form", flag_value="md", help="Print the report as Markdown."),
            click.option("--csv", "form", flag_value="csv", help="Print the report as CSV."),
            click.option("--junit", "form", flag_value="junit", help="Print the report as JUnit."),
            click.option("--schema", is_flag=True, help="Print the JSON schema and end."),
        )
    ):
        command = option(command)
    return command


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
@_target_options
@click.option("--start-rate", type=click.FloatRange(min=0, min_open=True), default=1.0,
              show_default=True, help="Where the search begins, requests/s; any guess will do.")  # fmt: skip
@click.option("--max-rate", type=click.FloatRange(min=0, min_open=True), default=10_000.0,
              show_default=True, help="Never ask for more requests/s.")  # fmt: skip
@click.option("--precision", type=click.FloatRange(0.005, 0.5), default=0.05, show_default=True,
              help="How far the result may be from the truth, as a share.")  # fmt: skip
@click.option("--confidence", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True,
              help="Of the result's interval.")  # fmt: skip
@click.option("--max-steps", type=click.IntRange(1, 99), default=12, show_default=True,
              help="Loads to run at most.")  # fmt: skip
@click.option("--max-step", type=_Seconds(), default="5m", show_default=True,
              help="The longest time of one load.")  # fmt: skip
@click.option("--think-time", type=_Seconds(), default="0s", show_default=True,
              help="Of a user between answer and next question, to give the result in users.")  # fmt: skip
@click.option("--gpus", type=click.IntRange(min=1), help="GPUs behind the target.")
@click.option("--price-per-gpu-hour", "price", type=click.FloatRange(min=0, min_open=True),
              help="To give the cost of a million tokens, in the price's currency.")  # fmt: skip
@click.option("--at-least", type=click.FloatRange(min=0, min_open=True), metavar="R",
              help="Fail where the capacity is below R requests/s.")  # fmt: skip
@_form_options
def capacity(
    target: str | None, model: str | None, load_file: Path | None, slo: Path | None,
    texts: tuple[str, ...], exporters: tuple[str, ...], out: Path | None, form: str | None,
    schema: bool, **given_: Any,
) -> int:  # fmt: skip
    """Find the highest rate at which all objectives hold."""
    if schema:
        click.echo(schema_text(CapacityReport), nl=False)
        return 0
    objectives = _objectives(slo, texts)
    if not objectives:
        raise UsageError("--slo or --objective is required: what must hold")
    for one in objectives:
        if one.target >= 1:
            raise UsageError(f"objective {one.name}: no number of requests shows 100 %; use 99.9")
    load = LoadFile.load(load_file) if load_file else LoadFile()
    wanted = search.Wanted(
        objectives=objectives,
        aim=_aim(given_),
        confidence=given_["confidence"],
        longest_step=given_["max_step"],
        warmup=load.warmup,
        seed=load.seed,
        max_in_flight=load.max_in_flight,
        gpus=given_["gpus"],
        price=given_["price"],
        think_time=given_["think_time"],
        at_least=given_["at_least"],
    )
    folder = out or Path("out") / time.strftime("capacity-%Y%m%d-%H%M%S")
    with _interruptible(folder), _site(target, model, load_file, exporters, folder) as (site, kind):
        line = _Line()
        steps, _ = search.search(site, wanted, folder, line.told, lambda one: line.step(one))
        line.end()
        report = search.report(steps, site, wanted, kind, _command(folder))
    _write(report, folder, "capacity", form)
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
@_target_options
@click.option("--rate", "rates", type=_List(float), help="Requests/s, such as 1,2,4,8.")
@click.option("--concurrency", "concurrencies", type=_List(int), help="Users, such as 1,4,16.")
@click.option("--prompt-tokens", "prompts", type=_List(int), help="Such as 128,1024.")
@click.option("--output-tokens", "outputs", type=_List(int), help="Such as 64,256.")
@click.option("--duration", type=_Seconds(), help="Measured time of each load.")
@click.option("--warmup", type=_Seconds(), help="Time under load before measuring.")
@click.option("--seed", type=int, help="Fixes arrivals and lengths.")
@_form_options
def sweep(
    target: str | None, model: str | None, load_file: Path | None, slo: Path | None,
    texts: tuple[str, ...], exporters: tuple[str, ...], out: Path | None, form: str | None,
    schema: bool, **axes: Any,
) -> int:  # fmt: skip
    """Run loads side by side: rates or concurrencies, by lengths of prompt and answer."""
    if schema:
        click.echo(schema_text(SweepReport), nl=False)
        return 0
    objectives = _objectives(slo, texts)
    grid = sweeping.Grid(**{name: value for name, value in axes.items() if value is not None})
    grid.asks()  # a mistake shows before all else
    folder = out or Path("out") / time.strftime("sweep-%Y%m%d-%H%M%S")
    with _interruptible(folder), _site(target, model, load_file, exporters, folder) as (site, kind):
        line = _Line()
        points = sweeping.sweep(site, grid, objectives, folder, line.told, line.point)
        line.end()
        report = sweeping.report(points, site, objectives, kind, _command(folder))
    _write(report, folder, "sweep", form)
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
@click.option("--regression-threshold", "threshold", default="5%", show_default=True,
              help="What is worse by at least so much, and shown to be, is a regression.")  # fmt: skip
@click.option("--confidence", type=click.FloatRange(0.5, 0.9999), default=0.99, show_default=True,
              help="That no quantity is called better or worse by chance.")  # fmt: skip
@click.option("--allow-different", is_flag=True,
              help="Compare runs of different workloads, models or schedules all the same.")  # fmt: skip
@click.option("--slo", type=_FILE, help="Objectives, to compare goodput too.")
@click.option("--objective", "texts", multiple=True, metavar="TEXT", help="The same, as a text.")
@click.option("--out", type=_FOLDER, help="Write the report there in every form.")
@_form_options
def compare(
    baseline: Path | None, candidates: tuple[Path, ...], threshold: str, confidence: float,
    allow_different: bool, slo: Path | None, texts: tuple[str, ...], out: Path | None,
    form: str | None, schema: bool,
) -> int:  # fmt: skip
    """Compare runs with a baseline: what differs by more than chance."""
    if schema:
        click.echo(schema_text(ComparisonReport), nl=False)
        return 0
    if baseline is None or not candidates:
        raise UsageError("give a baseline and at least one candidate, such as a.jsonl b.jsonl")
    report = comparison(
        given(baseline),
        [given(one) for one in candidates],
        _objectives(slo, texts),
        confidence=confidence,
        threshold=_share(threshold),
        allow_different=allow_different,
    )
    _write(report, out, "comparison", form)
    return report.exit_code


def _share(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise UsageError(f"--regression-threshold {text}: expected a share such as 5% or 0.05")
    return value


# --- What they share ------------------------------------------------------------------------------


def _objectives(slo: Path | None, texts: tuple[str, ...]) -> tuple[Objective, ...]:
    """Those of the file that a client can see, and those given as texts."""
    from_file = client_objectives(slo_file.load(slo)) if slo else ()
    if slo and not from_file:
        raise UsageError(f"{slo}: none of its objectives is one that a client can see")
    return (*from_file, *map(parse_objective, texts))


@contextlib.contextmanager
def _site(
    target: str | None, model: str | None, load_file: Path | None, exporters: tuple[str, ...],
    folder: Path,
) -> Iterator[tuple[Site, str | None]]:  # fmt: skip
    """The target, reached and watched, and what engine it is."""
    if target is None:
        raise UsageError("--target is required: the server, such as http://127.0.0.1:8000")
    if load_file:
        model = model or LoadFile.load(load_file).model
    url = engine.base_url(target)
    pages = [Exporter(text) for text in exporters]
    found = engine.reach(url, model)
    with observer(url, found.model, pages, folder) as watcher:
        if isinstance(watcher, Nobody):
            click.echo(f"firsttoken: {url}/metrics: not read; only clients' records", err=True)
        yield Site(url, found.model, load_file, watcher), found.version


@contextlib.contextmanager
def _interruptible(folder: Path) -> Iterator[None]:
    """SIGINT and SIGTERM end the load that runs; what ended before is kept."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        where = f"--out {folder}"
        click.echo(f"\nfirsttoken: interrupted; the same command with {where} goes on", err=True)
        sys.exit(INTERRUPTED_CODE)


def _command(folder: Path) -> str:
    arguments = sys.argv[1:] if "load" in sys.argv else []
    named = [] if "--out" in arguments else ["--out", str(folder)]
    return shlex.join(["firsttoken", *arguments, *named])


class _Line:
    """How far it is, on stderr: one line redrawn on a terminal, and one for each load that ended."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    def told(self, text: str) -> None:
        if self._terminal:
            click.echo(f"\r\x1b[2K{text[:110]}", nl=False, err=True)

    def step(self, one: StepResult) -> None:
        at = one.point
        self._say(
            f"step {one.number}: {at.offered_rate:.3g} requests/s ({at.requests:,} requests):"
            f" {one.verdict}: {one.reason}"
        )

    def point(self, one: Point) -> None:
        load = f"rate {one.rate:g}" if one.rate is not None else f"{one.concurrency} users"
        latency = f", TTFT p95 {one.ttft.p95 * 1000:.3g} ms" if one.ttft else ""
        self._say(f"{load}: {one.output_rate:.3g} tokens/s{latency}, {one.failed} failed")

    def end(self) -> None:
        if self._terminal:
            click.echo("\r\x1b[2K", nl=False, err=True)

    def _say(self, text: str) -> None:
        self.end()
        click.echo(text, err=True)


def _write(report: forms.Report, folder: Path | None, name: str, form: str | None) -> None:
    """Every form into the folder, and the one that is asked for to stdout."""
    texts = {
        "json": lambda: report.model_dump_json(indent=2) + "\n",
        "md": lambda: forms.as_markdown(report),
        "csv": lambda: forms.as_csv(report),
        "junit": lambda: forms.as_junit(report),
    }
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, text in texts.items():
            file = "junit.xml" if kind == "junit" else f"{name}.{kind}"
            (folder / file).write_text(text(), encoding="utf-8")
        if not isinstance(report, ComparisonReport):
            # matplotlib takes a second to import: only where something is drawn.
            from firsttoken.loadtest import plots

            figure = (
                plots.capacity_figure(report)
                if isinstance(report, CapacityReport)
                else plots.sweep_figure(report)
            )
            plots.save(figure, folder / name)
    if form is None:
        forms.show(report, Console())
    else:
        click.echo(texts[form](), nl=False)
