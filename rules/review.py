"""``firsttoken rules report`` and ``lint``: what was kept, and what is wrong with rules."""

import calendar
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click
import yaml

from firsttoken.config import parse_duration
from firsttoken.errors import ConfigError, UsageError
from firsttoken.prometheus import Prometheus
from firsttoken.rules.lint import lint as findings
from firsttoken.rules.report import FORMATS, collect, render

__all__ = ["lint", "report"]


@click.command(
    epilog="""\b
Examples:
  firsttoken rules report --prometheus http://prom:9090
  firsttoken rules report --prometheus http://prom:9090 --month 2026-10 --format html > sla.html

\b
Exit code 1 when an objective was missed, 3 when nothing is known of one.
"""
)
@click.option("--prometheus", "url", required=True, help="URL of the Prometheus to ask.")
@click.option("--period", default="30d", show_default=True, help="How far back, until now.")
@click.option("--month", metavar="YYYY-MM", help="A calendar month (UTC) instead.")
@click.option(
    "--format", "form", type=click.Choice(tuple(FORMATS)), default="table", show_default=True
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a bearer token for Prometheus.",
)
def report(url: str, period: str, month: str | None, form: str, token_file: Path | None) -> int:
    """Say how far every objective was kept: attained, budget left, worst hour, trend."""
    start, end = _month(month) if month else _until_now(period)
    token = token_file.read_text(encoding="utf-8").strip() if token_file else None
    lines = collect(Prometheus(url, token=token), start, end)
    click.echo(render(lines, form), nl=False)
    kept = [line.kept for line in lines]
    return 1 if False in kept else 3 if None in kept else 0


def _until_now(period: str) -> tuple[float, float]:
    try:
        seconds = parse_duration(period)
    except ValueError as exc:
        raise UsageError(f"--period {period}: {exc}") from None
    now = time.time()
    return now - seconds, now


def _month(month: str) -> tuple[float, float]:
    found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", month)
    if not found:
        raise UsageError(f"--month {month}: expected a month such as 2026-10")
    year, number = int(found[1]), int(found[2])
    start = datetime(year, number, 1, tzinfo=UTC).timestamp()
    end = start + calendar.monthrange(year, number)[1] * 86400
    return start, min(end, time.time())


@click.command(
    epilog="""\b
Examples:
  firsttoken rules generate slo.yaml | firsttoken rules lint -
  firsttoken rules lint rules/*.yaml --scrape-interval 15s --retention 15d

\b
Exit code 1 when something was found.
"""
)
@click.argument("files", nargs=-1, required=True, type=click.File(encoding="utf-8"))
@click.option("--scrape-interval", "scrape", default="30s", show_default=True)
@click.option("--retention", default="0s", help="How long Prometheus keeps samples.")
def lint(files: tuple[TextIO, ...], scrape: str, retention: str) -> int:
    """Find in rule files or PrometheusRules what Prometheus takes and yet does not work well."""
    count = 0
    for file in files:
        for found in findings(
            _yaml(file), scrape=_whole("--scrape-interval", scrape),
            retention=_whole("--retention", retention),
        ):  # fmt: skip
            click.echo(f"{file.name}: {found.rule}: {found.text} ({found.check})")
            count += 1
    click.echo(f"{count} findings" if count != 1 else "1 finding", err=True)
    return 1 if count else 0


def _yaml(file: TextIO) -> object:
    try:
        return yaml.safe_load(file)
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError(file.name, ["not valid YAML"]) from None


def _whole(option: str, text: str) -> int:
    try:
        return int(parse_duration(text))
    except ValueError as exc:
        raise UsageError(f"{option} {text}: {exc}") from None
