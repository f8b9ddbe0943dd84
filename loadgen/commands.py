"""The ``firsttoken load`` command: bring a server under load, and report what was recorded."""

import asyncio
import json
import os
import secrets
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console

from firsttoken.config import load_yaml, validate_model
from firsttoken.errors import CheckFailedError, NotJudgedError, UsageError
from firsttoken.loadgen import annotations, presets
from firsttoken.loadgen.dialect import DIALECTS
from firsttoken.loadgen.fairness import bottleneck
from firsttoken.loadgen.judge import Objective, goodput, judge, parse_objective
from firsttoken.loadgen.live import Progress, default_progress, shown
from firsttoken.loadgen.presets import PRESETS
from firsttoken.loadgen.record import Run
from firsttoken.loadgen.records import convert
from firsttoken.loadgen.run import Part, Stop, Team, run_load, with_fast_loop
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.shards import Shard, parse_shard, parse_start
from firsttoken.loadgen.show import as_json, as_markdown, print_run
from firsttoken.loadgen.summary import summarise

__all__ = ["OBJECTIVE_HELP", "check_objectives", "load", "print_report"]

INTERRUPTED_CODE = 130
OBJECTIVE_HELP = "A promise to judge, such as ttft<500ms@95 or success@99.5; may be repeated."


@click.group(
    epilog="""\b
Examples:
  firsttoken load --target http://127.0.0.1:8000 --rate 20 --input-tokens 512 --output-tokens 128
  firsttoken load run --target http://127.0.0.1:8000 --rate 4 --out records.jsonl
  firsttoken load report records.jsonl --objective 'ttft<500ms@95'
""",
)
def load() -> None:
    """Bring an LLM server under a known load, and report how it fared."""


@load.command(
    epilog="""\b
Examples:
  firsttoken load run --target http://127.0.0.1:8000 --concurrency 16 --duration 30s
  firsttoken load run --target http://127.0.0.1:8000 --load load.yaml --out records.jsonl
  firsttoken load run --target http://127.0.0.1:8000 --preset rag --rate 5
  firsttoken load run --target http://127.0.0.1:8000 --rate 5 --objective 'ttft<500ms@95'
  firsttoken load run --target http://10.0.0.1:8000 --load load.yaml --cluster ray --workers 4

\b
A key for the server is taken from --api-key-file, FIRSTTOKEN_API_KEY, else OPENAI_API_KEY.
Exit codes: 0 done, 1 an objective missed, 2 a wrong argument or file, 3 the server cannot be
reached or the load generator was too slow for the load, 130 interrupted (what was recorded until
then is kept).
"""
)
@click.option("--target", required=True, help="The server, such as http://127.0.0.1:8000.")
@click.option("--load", "file", type=click.Path(path_type=Path), help="Load file (YAML).")
@click.option(
    "--preset", type=click.Choice(tuple(PRESETS)), help="A common kind of load in place of a file."
)
@click.option("--model", help="Model to ask for; default: the one that is served.")
@click.option(
    "--rate",
    type=float,
    help="Open loop: requests per second (Poisson, unless the file says constant or recorded).",
)
@click.option("--concurrency", type=int, help="Closed loop: so many requests at all times.")
@click.option("--duration", help="Measured time, such as 30s or 5m.")
@click.option("--warmup", help="Time under load before measuring, such as 5s.")
@click.option(
    "--input-tokens", "--prompt-tokens", "prompt_tokens", type=int, help="Tokens of each prompt."
)
@click.option("--output-tokens", type=int, help="Tokens of each answer.")
@click.option("--seed", type=int, help="Fixes arrivals and lengths.")
@click.option("--api", type=click.Choice(list(DIALECTS)), help="What the server is asked by.")
@click.option("--requests", type=int, help="Stop after so many requests.")
@click.option("--processes", type=int, help="Share the load among so many processes.")
@click.option(
    "--api-key-file", type=click.Path(path_type=Path), help="A file with the server's key."
)
@click.option(
    "--tracing",
    is_flag=True,
    default=None,
    help="Send a W3C traceparent with each request (see firsttoken trace).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the records there (JSONL); FILE.parquet is written beside its FILE.jsonl.",
)
@click.option("--objective", "objectives", multiple=True, metavar="TEXT", help=OBJECTIVE_HELP)
@click.option(
    "--progress",
    type=click.Choice(get_args(Progress)),
    help="live (default on a terminal) or lines on stderr, json lines on stdout, or none.",
)
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but what went wrong.")
@click.option(
    "--metrics-listen",
    "listen",
    metavar="HOST:PORT",
    help="Serve gen_ai.client.* metrics of the run there, for Prometheus.",
)
@click.option("--json", "as_data", is_flag=True, help="Print the report as JSON.")
@click.option("--cluster", type=click.Choice(["ray"]), help="Share the run among its machines.")
@click.option("--workers", type=click.IntRange(1, 1000), help="How many; default: one a machine.")
@click.option("--shard", metavar="K/N", help="Only the K-th of N shares (job/N in an indexed Job).")
@click.option("--run-id", help="What all shards of a run have in common, and no other run has.")
@click.option(
    "--start-at",
    metavar="TIME",
    help="Begin then: RFC 3339, Unix seconds, or every:1m for the next full minute.",
)
@click.option(
    "--grafana",
    metavar="URL",
    help=f"Mark the run on the dashboards of this Grafana; its token in {annotations.TOKEN}.",
)
def run(
    target: str,
    file: Path | None,
    out: Path | None,
    objectives: tuple[str, ...],
    progress: Progress | None,
    quiet: bool,
    listen: str | None,
    as_data: bool,
    cluster: str | None,
    workers: int | None,
    shard: str | None,
    run_id: str | None,
    start_at: str | None,
    grafana: str | None,
    **flags: Any,
) -> int:
    """Run a load against a server and print how it fared."""
    promises = [parse_objective(text) for text in objectives]
    settings = _settings(file, flags)
    part = _part(shard, run_id, start_at)
    if workers and not cluster:
        raise UsageError("--workers are those of a --cluster; for this machine see processes")
    team = _ray(workers) if cluster else None
    how = "none" if quiet else progress or default_progress()
    with _marked(grafana, settings, target, part) as finish:
        done = with_fast_loop(_run(settings, target, out, how, part, team, listen))
        finish(done)
    if (how != "json" and not quiet) or as_data:
        print_report(done, promises, "json" if as_data else "text")
    if any(one.lost for one in done.shards):
        raise NotJudgedError(f"not the load that was asked for: {done.stopped}")
    if done.interrupted:
        click.echo(f"firsttoken: interrupted: {done.stopped}", err=True)
        return INTERRUPTED_CODE
    why = bottleneck(done, promises)
    if why is not None and done.open_loop and how != "json":
        raise NotJudgedError(f"not judged: the load generator was the bottleneck: {why}")
    check_objectives(done, promises)
    return 0


def _ray(workers: int | None) -> Team:
    from firsttoken.loadgen.raycluster import connect  # only this flag needs Ray

    return connect(workers)


def _marked(
    grafana: str | None, settings: LoadFile, target: str, part: Part | None
) -> AbstractContextManager[annotations.Finish]:
    """The run's mark in Grafana, once however many shards it has.  Raises UsageError."""
    first = part is None or part.shard.index == 0
    return annotations.marked(
        grafana if first else None,
        os.environ.get(annotations.TOKEN),
        annotations.plan(settings.model_dump(), target),
        lambda text: click.echo(f"firsttoken: {text}", err=True),
    )


def _part(shard: str | None, run_id: str | None, start_at: str | None) -> Part | None:
    """This process' part in a run, None where it is alone.  Raises UsageError."""
    if shard is None and run_id is None and start_at is None:
        return None
    if (shard is None) != (run_id is None):
        raise UsageError("--shard and --run-id go together: all shards of a run have its id")
    return Part(
        parse_shard(shard, os.environ) if shard else Shard(),
        run_id or secrets.token_hex(8),
        parse_start(start_at, time.time()) if start_at else None,
    )


def _settings(file: Path | None, flags: dict[str, Any]) -> LoadFile:
    """The load file with what the flags change.  Raises ConfigError and UsageError."""
    rate, concurrency, preset = flags.pop("rate"), flags.pop("concurrency"), flags.pop("preset")
    if file is not None and preset is not None:
        raise UsageError("--load and --preset exclude each other")
    if rate is not None and concurrency is not None:
        raise UsageError("--rate (open loop) and --concurrency (closed loop) exclude each other")
    changes = {name: value for name, value in flags.items() if value is not None}
    base = presets.settings(preset) if preset else {}
    if file:
        base = load_yaml(file, LoadFile).model_dump()
    if rate is not None:
        changes["arrivals"] = _at_rate(base.get("arrivals", {}), rate)
    if concurrency is not None:
        changes["arrivals"] = {"kind": "closed", "concurrency": concurrency}
    return validate_model({**base, **changes}, LoadFile, "load settings")


def _at_rate(arrivals: dict[str, Any], rate: float) -> dict[str, Any]:
    """An open loop of the rate, as bursty as the arrivals are; else Poisson."""
    kept = {"constant": (), "recorded": (), "gamma": ("burstiness",)}
    kind = arrivals.get("kind")
    if kind not in kept:
        return {"kind": "poisson", "rate": rate}
    return {"kind": kind, "rate": rate, **{name: arrivals[name] for name in kept[kind]}}


async def _run(
    settings: LoadFile,
    target: str,
    out: Path | None,
    how: Progress,
    part: Part | None,
    team: Team | None,
    listen: str | None,
) -> Run:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set, signal.Signals(number).name)
    lines = out.with_suffix(".jsonl") if out and out.suffix == ".parquet" else out
    with shown(how) as watch:
        done = await run_load(settings, target, lines, stop, watch, part, team, listen=listen)
    if out and lines and lines != out:
        convert(lines, out)
    return done


def print_report(run: Run, objectives: list[Objective], form: str) -> None:
    """Print a run as ``text``, ``md`` or ``json``."""
    summary, attained = summarise(run), judge(run, objectives)
    good = goodput(run, objectives) if objectives else None
    if form == "json":
        click.echo(json.dumps(as_json(run, summary, attained, good), indent=2))
    elif form == "md":
        click.echo(as_markdown(run, summary, attained, good), nl=False)
    else:
        print_run(Console(), run, summary, attained, good)


def check_objectives(run: Run, objectives: list[Objective]) -> None:
    """Raise CheckFailedError where an objective was missed."""
    missed = [one.objective for one in judge(run, objectives) if one.met is False]
    if missed:
        raise CheckFailedError(f"missed: {', '.join(str(objective) for objective in missed)}")
