"""``firsttoken profiles``: which sources are understood, and what a live page gives."""

import json
from collections.abc import Sequence
from typing import Any

import click

from firsttoken.errors import CheckFailedError, UsageError
from firsttoken.exporters import page, profile
from firsttoken.exporters.check import Finding, Report, Status, check
from firsttoken.exporters.table import Line, Profile
from firsttoken.naming import label_name

__all__ = ["profiles"]

_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


@click.group(
    epilog="""\b
Examples:
  firsttoken profiles list
  firsttoken profiles show vllm
  firsttoken profiles check http://127.0.0.1:8000/metrics
"""
)
def profiles() -> None:
    """What the metrics of each source mean in the catalogue's terms."""


@profiles.command(
    "list",
    epilog="""\b
Examples:
  firsttoken profiles list
""",
)
@_JSON
def list_profiles(as_json: bool) -> None:
    """List the sources that are understood."""
    found = profile.load_all()
    if as_json:
        _dump([_summary(each) for each in found])
        return
    rows = [(each.name, each.title, str(len(each.lines)), each.url) for each in found]
    _table(("NAME", "SOURCE", "METRICS", "USUALLY AT"), rows)


def _summary(each: Profile) -> dict[str, Any]:
    return {
        "name": each.name,
        "title": each.title,
        "provider": each.provider,
        "metrics": len(each.lines),
        "url": each.url,
    }


@profiles.command(
    epilog="""\b
Examples:
  firsttoken profiles show vllm
  firsttoken profiles show ./ours.yaml --json
"""
)
@click.argument("name", metavar="NAME|FILE")
@_JSON
def show(name: str, as_json: bool) -> None:
    """Show each metric of a source and the catalogue entry that means the same."""
    chosen = profile.load(name)
    if as_json:
        _dump({**_summary(chosen), "lines": [_line(line) for line in chosen.lines]})
        return
    rows = [
        (line.source, _meaning(line), _versions(line), line.note)
        for line in sorted(chosen.lines, key=lambda line: line.source)
    ]
    _table(("SOURCE", "MEANS", "VERSIONS", "NOTE"), rows)
    for known in chosen.known:
        click.echo(f"no name for {known.match.pattern}: {known.why}")


def _line(line: Line) -> dict[str, Any]:
    return {
        "source": line.source,
        "metric": line.metric.name,
        "prometheus": line.metric.prometheus,
        "stability": line.metric.stability,
        "attributes": dict(line.fixed),
        "scale": str(line.scale or 1),
        "since": line.since,
        "until": line.until,
        "note": line.note,
    }


def _meaning(line: Line) -> str:
    added = ", ".join(f"{name}={value}" for name, value in sorted(line.rules.add.items()))
    scale = f" x {format(line.scale, 'f')}" if line.scale else ""
    return f"{line.metric.name}{f'{{{added}}}' if added else ''}{scale}"


def _versions(line: Line) -> str:
    since = f"from {line.since}" if line.since else ""
    until = f"to {line.until}" if line.until else ""
    return " ".join(part for part in (since, until) if part)


@profiles.command(
    "check",
    epilog="""\b
Examples:
  firsttoken profiles check http://127.0.0.1:8000/metrics
  curl -s http://gpu-node:9400/metrics > page.txt && firsttoken profiles check page.txt
  firsttoken profiles check page.txt --profile ./ours.yaml --json

\b
Exit codes: 0 every family is named or known; 1 some are not, or two series came out as one;
2 the page or profile cannot be read; 3 the server cannot be reached.
""",
)
@click.argument("where", metavar="URL|FILE")
@click.option("--profile", "name", metavar="NAME|FILE", help="Instead of the one that fits best.")
@click.option("--series", is_flag=True, help="Write every series as it comes out, and no more.")
@_JSON
def check_page(where: str, name: str | None, series: bool, as_json: bool) -> None:
    """Say what the metrics page at URL or in FILE gives: named, without a name, unknown."""
    families = page.parse(page.read(where))
    chosen = profile.load(name) if name else _guess(where, families)
    report = check(chosen, families)
    if series:
        for line in series_lines(report):
            click.echo(line)
    elif as_json:
        _dump(_as_json(report))
    else:
        _write(report)
    unknown = len(report.of(Status.UNKNOWN))
    if unknown or report.doubled:
        raise CheckFailedError(
            f"{where}: {unknown} of {len(report.findings)} families are not known to the profile"
            f" {chosen.name}, {len(report.doubled)} series came out as one with another"
        )


def _guess(where: str, families: Sequence[page.Family]) -> Profile:
    found = profile.guess((family.name for family in families), profile.load_all())
    if found is None:
        names = ", ".join(profile.builtin_names())
        raise UsageError(f"{where}: no profile fits; say one with --profile (there are: {names})")
    return found


def series_lines(report: Report) -> list[str]:
    """Every series of a report as Prometheus writes it, labels sorted, in the page's order."""
    lines = []
    for finding in report.findings:
        for series in finding.series:
            labels = sorted((label_name(name), value) for name, value in series.attributes.items())
            inner = ",".join(f"{name}={json.dumps(value)}" for name, value in labels)
            lines.append(f"{series.name}{{{inner}}} {series.value!r}")
    return lines


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "profile": report.profile.name,
        "version": report.version,
        "families": [_finding(finding) for finding in report.findings],
        "missing": [line.source for line in report.missing],
        "doubled": [series.name for series in report.doubled],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    named = finding.line if finding.status is Status.NAMED else None
    return {
        "family": finding.family,
        "type": finding.kind,
        "status": finding.status,
        "metric": named.metric.name if named else None,
        "prometheus": named.metric.prometheus if named else None,
        "why": finding.why,
        "series": finding.read,
        "dropped": finding.dropped,
        "merged": finding.merged,
    }


def _write(report: Report) -> None:
    version = f", version {report.version}" if report.version else ""
    click.echo(f"profile {report.profile.name} ({report.profile.title}){version}")
    for status in Status:
        found = report.of(status)
        click.echo(f"\n{status}: {len(found)} of {len(report.findings)} families")
        _table((), [_row(finding) for finding in found])
    if report.missing:
        click.echo(f"\nmissing: {len(report.missing)}, which this version should have")
        _table((), [(line.source, line.metric.name) for line in report.missing])
    for series in report.doubled:
        click.echo(f"\ndoubled: {series.name} {dict(series.attributes)}")


def _row(finding: Finding) -> tuple[str, ...]:
    what = _meaning(finding.line) if finding.line and finding.status is Status.NAMED else ""
    counts = [f"{finding.read} series"]
    counts += [f"{finding.dropped} left out"] if finding.dropped else []
    counts += [f"{finding.merged} merged"] if finding.merged else []
    return finding.family, what or finding.kind, ", ".join(counts), finding.why


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, the last one free."""
    every = [header, *rows] if header else rows
    widths = [max(len(row[i]) for row in every) for i in range(len(every[0]))] if every else []
    for row in every:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _dump(data: object) -> None:
    click.echo(json.dumps(data, indent=2))
