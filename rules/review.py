"""``firsttoken slo report`` and ``rules lint``: what was kept, and what is wrong with rules."""

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
from firsttoken.rules.alertmanager import Hours
from firsttoken.rules.arguments import Seconds, TargetVersion
from firsttoken.rules.bounds import Version
from firsttoken.rules.lint import CHECKS
from firsttoken.rules.lint import lint as findings
from firsttoken.rules.rendering import FORMATS, render
from firsttoken.rules.report import collect

__all__ = ["lint", "slo"]


@click.group(
    epilog="""\b
Examples:
  firsttoken slo report --prometheus http://prom:9090 --month 2026-10
"""
)
def slo() -> None:
    """What was promised, and how far it was kept."""


@slo.command(
    epilog="""\b
Examples:
  firsttoken slo report --prometheus http://prom:9090
  firsttoken slo report --prometheus http://prom:9090 --month 2026-10 --format html > sla.html
  firsttoken slo report --prometheus http://prom:9090 --service chat \\
    --hours 'monday:friday 08:00-18:00 Europe/Berlin'

\b
Exit code 1 when an objective was missed, 3 when nothing is known of one.
"""
)
@click.option("--prometheus", "url", required=True, metavar="URL", help="The Prometheus to ask.")
@click.option("--period", default="30d", show_default=True, help="How far back, until now.")
@click.option("--month", metavar="YYYY-MM", help="A calendar month (UTC) instead.")
@click.option("--service", default="", help="The objectives of this service only.")
@click.option(
    "--hours", "window", metavar="'DAYS START-END ZONE'",
    help="The availability window of an SLA: only these hours count.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(tuple(FORMATS)), default="table", show_default=True
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a bearer token for Prometheus.",
)
def report(
    url: str, period: str, month: str | None, service: str, window: str | None, form: str,
    token_file: Path | None,
) -> int:  # fmt: skip
    """Say how far every objective was kept: attained, budget left, worst hour, trend."""
    start, end = _month(month) if month else _until_now(period)
    hours = Hours.parse(window) if window else None
    token = token_file.read_text(encoding="utf-8").strip() if token_file else None
    found = collect(
        Prometheus(url, token=token), start, end, service=service,
        counts=hours.holds if hours else None, hours=window or "",
    )  # fmt: skip
    click.echo(render(found, form), nl=False)
    return {True: 0, False: 1, None: 3}[found.kept]


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
  firsttoken rules lint rules/*.yaml --scrape-interval 15s --retention 15d --target 3.0

\b
Exit code 1 when something was found.
"""
)
@click.argument("files", nargs=-1, required=True, type=click.File(encoding="utf-8"))
@click.option("--scrape-interval", "scrape", type=Seconds(), default="30s", show_default=True,
              help="How often Prometheus scrapes.")  # fmt: skip
@click.option("--retention", type=Seconds(), help="How long Prometheus keeps samples.")
@click.option("--target", type=TargetVersion(), default="2.42", show_default=True,
              help="The version of Prometheus.")  # fmt: skip
@click.option("--disable", multiple=True, metavar="CHECK", help="Leave a check out; repeatable.")
def lint(
    files: tuple[TextIO, ...], scrape: int, retention: int | None, target: Version,
    disable: tuple[str, ...],
) -> int:  # fmt: skip
    """Find in rule files or PrometheusRules what Prometheus takes and yet does not work well."""
    unknown = sorted(set(disable) - set(CHECKS))
    if unknown:
        raise UsageError(f"--disable {unknown[0]}: the checks are {', '.join(sorted(CHECKS))}")
    count = 0
    for file in files:
        for document in _documents(file):
            for found in findings(document, scrape=scrape, retention=retention or 0, target=target):
                if found.check not in disable:
                    click.echo(f"{file.name}: {found.rule}: {found.text} ({found.check})")
                    count += 1
    click.echo(f"{count} findings" if count != 1 else "1 finding", err=True)
    return 1 if count else 0


def _documents(file: TextIO) -> list[object]:
    try:
        return [one for one in yaml.safe_load_all(file) if one is not None]
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError(file.name, ["not valid YAML"]) from None
