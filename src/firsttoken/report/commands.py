"""``firsttoken load report``: a recorded run for people, for CI jobs and for programs."""

from pathlib import Path

import click

from firsttoken.errors import ConfigError
from firsttoken.loadgen.commands import OBJECTIVE_HELP, check_objectives, print_report
from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadgen.records import Run, read
from firsttoken.report.alone import report_of
from firsttoken.report.schema import Report
from firsttoken.report.tracelink import HELP, TraceUrl

__all__ = ["report"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  firsttoken load report records.jsonl
  firsttoken load report records.jsonl --objective 'ttft<500ms@95' --objective success@99 --md
  firsttoken load report records.jsonl --objective 'ttft<500ms@95' \\
    --html report.html --junit junit.xml --csv requests.csv

\b
Exit codes: 0 done, 1 an objective missed, 2 a wrong argument or file.
"""
)
@click.argument("records", type=click.Path(path_type=Path))
@click.option("--objective", "objectives", multiple=True, metavar="TEXT", help=OBJECTIVE_HELP)
@click.option("--json", "form", flag_value="json", help="Print the report as JSON.")
@click.option("--md", "form", flag_value="md", help="Print the report as Markdown.")
@click.option("--html", type=_FILE, help="Write the report there, one page with its figures.")
@click.option("--junit", type=_FILE, help="Write each objective there as a test case (XML).")
@click.option("--csv", type=_FILE, help="Write every request there, one line each.")
@click.option("--trace-url", type=TraceUrl(), help=HELP)
def report(
    records: Path,
    objectives: tuple[str, ...],
    form: str | None,
    trace_url: str | None,
    **files: Path | None,
) -> int:
    """Report on a run from its records; exit code 1 when an objective was missed."""
    promises = [parse_objective(text) for text in objectives]
    done = read(records)
    wanted = {name: path for name, path in files.items() if path}
    if wanted:
        _write(wanted, done, report_of(done, promises, records, trace_url))
    print_report(done, promises, form or "text")
    check_objectives(done, promises)
    return 0


def _write(files: dict[str, Path], run: Run, found: Report) -> None:
    # What draws and what makes XML is not needed to print a table.
    from firsttoken.report.junit import junit
    from firsttoken.report.plots import sections
    from firsttoken.report.render import html
    from firsttoken.report.table import requests_csv

    made = {
        "html": lambda: html(found, sections(found, run)),
        "junit": lambda: junit(found),
        "csv": lambda: requests_csv(run),
    }
    for name, path in files.items():
        try:
            path.write_text(made[name](), encoding="utf-8")
        except OSError as exc:
            raise ConfigError(path, [f"cannot be written: {exc.strerror}"]) from None
