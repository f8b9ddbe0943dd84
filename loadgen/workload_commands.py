"""``firsttoken load init`` and ``load merge``: a load file to begin with, shards made one run."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from firsttoken.errors import ConfigError, NotJudgedError, UsageError
from firsttoken.loadgen import presets
from firsttoken.loadgen.commands import OBJECTIVE_HELP, check_objectives, print_report
from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadgen.merge import merge
from firsttoken.loadgen.plan import Session
from firsttoken.loadgen.record import Run
from firsttoken.loadgen.records import read
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.workload import plan, workload_of
from firsttoken.loadgen.writer import Writer

__all__ = ["init", "merge_shards", "write"]


@click.command(
    epilog="""\b
Examples:
  firsttoken load init chat > load.yaml
  firsttoken load init rag > rag.yaml && firsttoken load run --load rag.yaml --rate 2 --target URL
"""
)
@click.argument("preset", type=click.Choice(tuple(presets.PRESETS)))
def init(preset: str) -> None:
    """Write a load file to begin with; each figure says where it comes from."""
    click.echo(presets.text(preset), nl=False)


@click.command(
    "merge",
    epilog="""\b
Examples:
  firsttoken load merge shard-0.jsonl shard-1.jsonl --out records.jsonl
  firsttoken load merge results/*.jsonl --out records.jsonl --objective 'ttft<500ms@95'

\b
Exit codes: 0 done, 1 an objective missed, 2 files that are no shards of one run, 3 a shard is
missing or broke off (what there is has been merged).
""",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Write them there.")
@click.option("--objective", "objectives", multiple=True, metavar="TEXT", help=OBJECTIVE_HELP)
@click.option("--json", "form", flag_value="json", help="Print the report as JSON.")
@click.option("--md", "form", flag_value="md", help="Print the report as Markdown.")
def merge_shards(
    files: tuple[Path, ...], out: Path, objectives: tuple[str, ...], form: str | None
) -> int:
    """Merge the records of a run's shards (`load run --shard`) into those of the one run."""
    promises = [parse_objective(text) for text in objectives]
    runs = [read(file) for file in files]
    if out.resolve() in {file.resolve() for file in files}:
        raise UsageError(f"--out {out}: is one of the files to merge")
    merged = merge(runs, _plan(runs[0]))
    write(merged, out)
    print_report(merged, promises, form or "text")
    if merged.interrupted:
        raise NotJudgedError(f"not the load that was asked for: {merged.stopped}")
    check_objectives(merged, promises)
    return 0


def write(run: Run, out: Path) -> None:
    """Write a run's records.  Raises ConfigError where that cannot be done."""
    with Writer(out) as writer:
        writer.begin(run)
        for record in run.records:
            writer.add(record)
        writer.end(run)


def _plan(run: Run) -> Callable[[], Iterator[Session]] | None:
    """What all shards together were to ask; None where that can no longer be told."""
    known = {name: run.load[name] for name in LoadFile.model_fields if name in run.load}
    try:
        load = LoadFile.model_validate(json.loads(json.dumps(known)))
        workload = workload_of(load)
    except (ValueError, ConfigError) as exc:
        click.echo(f"firsttoken: how much is missing cannot be told: {exc}", err=True)
        return None
    return lambda: plan(load, workload)
