"""``firsttoken load report``: a recorded run for people, for CI jobs and for programs."""

from pathlib import Path

import click

from firsttoken.loadgen.commands import OBJECTIVE_HELP, check_objectives, print_report
from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadgen.records import read

__all__ = ["report"]


@click.command(
    epilog="""\b
Examples:
  firsttoken load report records.jsonl
  firsttoken load report records.jsonl --objective 'ttft<500ms@95' --objective success@99 --md

\b
Exit codes: 0 done, 1 an objective missed, 2 a wrong argument or file.
"""
)
@click.argument("records", type=click.Path(path_type=Path))
@click.option("--objective", "objectives", multiple=True, metavar="TEXT", help=OBJECTIVE_HELP)
@click.option("--json", "form", flag_value="json", help="Print the report as JSON.")
@click.option("--md", "form", flag_value="md", help="Print the report as Markdown.")
def report(records: Path, objectives: tuple[str, ...], form: str | None) -> int:
    """Report on a run from its records; exit code 1 when an objective was missed."""
    promises = [parse_objective(text) for text in objectives]
    done = read(records)
    print_report(done, promises, form or "text")
    check_objectives(done, promises)
    return 0
