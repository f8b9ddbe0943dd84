"""``firsttoken validate``: the main job, as a command."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from firsttoken.arguments import Seconds
from firsttoken.errors import UsageError
from firsttoken.loadgen import annotations
from firsttoken.loadgen import settings as load_settings
from firsttoken.loadgen.settings import LoadFile
from firsttoken.report import tracelink
from firsttoken.report.schema import schema_text
from firsttoken.rules import slo as slo_file
from firsttoken.simulate import faults as fault_table
from firsttoken.validate import engine, pipeline, progress, scenarios, suite, terminal, tracing
from firsttoken.validate.conclude import conclude
from firsttoken.validate.found import Options
from firsttoken.validate.output import write
from firsttoken.validate.stack import Exporter
from firsttoken.validate.steps import validation_groups

__all__ = ["validate"]


_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  firsttoken validate --simulate --slo slo.yaml
  firsttoken validate --target http://127.0.0.1:8000 --slo slo.yaml --load load.yaml --out out
  firsttoken validate --target http://10.0.0.7:8000 --slo slo.yaml --rate 4 --duration 5m \\
    --gpu-exporter http://10.0.0.7:9400/metrics,profile=dcgm
  firsttoken validate --simulate --fault prefill_slowdown=20 --slo slo.yaml
  firsttoken validate --simulate --suite examples/suite.yaml --faults

\b
Exit codes: 0 every objective met and every check passed (of a suite: every scenario came out as
expected); 1 an objective missed, a check failed, a scenario came out otherwise; 2 a wrong argument
or file; 3 could not be judged; 130 interrupted.
"""
)
@click.option("--target", metavar="URL", help="The engine, with an OpenAI-compatible API.")
@click.option("--simulate", is_flag=True, help="Validate the embedded engine instead.")
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME=VALUE",
    help="A fault of the embedded engine; see firsttoken simulate --help.",
)  # fmt: skip
@click.option("--slo", type=_FILE, help="The objectives, a YAML file.  [required]")
@click.option("--suite", "suite_file", type=_FILE,
              help="Scenarios with loads and objectives, instead of --slo.")  # fmt: skip
@click.option("--faults", "inject", is_flag=True,
              help="Run the suite's scenarios with faults, too.")  # fmt: skip
@click.option("--load", "load_file", type=_FILE, help="The load, a YAML file.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="R",
              help="Instead of the load's arrivals: R requests a second (open loop).")  # fmt: skip
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N",
              help="Instead of the load's arrivals: N users at a time (closed loop).")  # fmt: skip
@click.option("--duration", type=Seconds(), help="Instead of the load's measured time.")
@click.option("--model", help="The model to ask for, where the engine serves several.")
@click.option(
    "--gpu-exporter", "exporters", multiple=True, metavar="URL[,PROFILE]",
    help="The page of a GPU exporter beside the engine.",
)  # fmt: skip
@click.option("--otlp-listen", metavar="HOST:PORT",
              help="Take the engine's spans there (OTLP/gRPC), and join them.")  # fmt: skip
@click.option("--trace-url", type=tracelink.TraceUrl(), help=tracelink.HELP)
@click.option("--prometheus", metavar="URL",
              help="A Prometheus with the rules that scrapes the engine's collector.")  # fmt: skip
@click.option(
    "--grafana",
    metavar="URL",
    help=f"Mark the load on this Grafana's dashboards; its token in {annotations.TOKEN}.",
)
@click.option("--scrape-interval", type=Seconds(), default="1s", show_default=True,
              help="Of Prometheus; whole seconds.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder of the report.  [default: out/validate-TIME]")  # fmt: skip
@click.option("--schema", is_flag=True, help="Print the JSON schema of report.json and end.")
def validate(
    target: str | None, simulate: bool, slo: Path | None, suite_file: Path | None, inject: bool,
    load_file: Path | None, faults: tuple[str, ...], exporters: tuple[str, ...],
    out: Path | None, scrape_interval: float, grafana: str | None, schema: bool, **given: object,
) -> int:  # fmt: skip
    """Put a deployment under load, watch it, judge its objectives, and write a report.

    Clients' records decide about the objectives; the server's own metrics, as the collector, a
    real Prometheus, the generated rules and dashboards have them, are held against them.
    """
    if schema:
        click.echo(schema_text(), nl=False)
        return 0
    if simulate == (target is not None):
        raise UsageError("give either --target URL or --simulate")
    if target is not None:
        engine.base_url(target)  # a mistake shows before all else
    if scrape_interval != int(scrape_interval) or scrape_interval < 1:
        raise UsageError("--scrape-interval: expected whole seconds, such as 1s or 15s")
    common = {
        "out": out or Path("out") / time.strftime("validate-%Y%m%d-%H%M%S"),
        "target": target,
        "exporters": tuple(Exporter(text) for text in exporters),
        "scrape_interval": int(scrape_interval),
        "grafana": grafana,
    }
    _check_grafana(grafana)
    if suite_file is not None:
        _check_suite(slo=slo, load=load_file, fault=faults, **given)
        return _run_suite(
            suite_file,
            common | {name: given[name] for name in ("model", "trace_url")},
            inject=inject,
        )
    _check_one(simulate=simulate, inject=inject, faults=faults, **given)
    if slo is None:
        raise UsageError("--slo is required: the file of objectives, such as examples/slo.yaml")
    options = Options(
        slo=slo_file.load(slo),
        faults=_known(faults),
        slo_file=slo,
        load_file=load_file,
        load=load_settings.load(load_file) if load_file else LoadFile(),
        **common,  # type: ignore[arg-type]
        **given,  # type: ignore[arg-type]
    )
    validation_groups(options.slo, options.scrape_interval)  # a mistake shows before all else
    return _run(options)


def _check_grafana(url: str | None) -> None:
    """Raise UsageError for an address or a token that cannot be."""
    if url is not None:
        annotations.address(url, os.environ.get(annotations.TOKEN))


def _check_suite(**given: object) -> None:
    """Raise UsageError for what only one run can have."""
    for name in ("slo", "load", "fault", "rate", "concurrency", "duration", "prometheus"):
        if given.get(name):
            raise UsageError(f"--{name} does not go with --suite: its scenarios say it themselves")


def _check_one(*, simulate: bool, inject: bool, faults: Sequence[str], **given: object) -> None:
    """Raise UsageError for what does not go together in one run."""
    if inject:
        raise UsageError("--faults goes with --suite; for one run use --fault NAME=VALUE")
    if faults and not simulate:
        raise UsageError("--fault goes with --simulate alone")
    if given["rate"] is not None and given["concurrency"] is not None:
        raise UsageError("give either --rate or --concurrency")
    if given["otlp_listen"] is not None:
        tracing.address(str(given["otlp_listen"]))


def _known(faults: Sequence[str]) -> tuple[str, ...]:
    fault_table.parse(faults, fault_table.Faults())
    return tuple(faults)


def _heed_signals() -> None:
    # Also where SIGINT came ignored, as it does to a shell's background jobs; and CI ends jobs
    # with SIGTERM: both leave a partial report.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _run(options: Options) -> int:
    _heed_signals()
    found = pipeline.run(options, progress.view(Console(stderr=True)))
    report = conclude(found)
    write(report, found)
    terminal.show(report, options.out, Console(file=sys.stdout))
    return report.verdict.exit_code


def _run_suite(file: Path, common: dict[str, Any], *, inject: bool) -> int:
    _, cases = suite.load(file)
    for case in cases:
        validation_groups(case.slo, common["scrape_interval"])
    _heed_signals()
    console = Console(stderr=True)

    def view(heading: str) -> progress.Progress:
        console.print(f"\n{heading}", style="bold", markup=False, highlight=False)
        return progress.view(console)

    base = Options(slo=cases[0].slo, **common)
    done = scenarios.run(file, cases, base, inject=inject, view=view)
    terminal.show_suite(done, base.out, Console(file=sys.stdout))
    return done.verdict.exit_code
