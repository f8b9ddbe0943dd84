"""``firsttoken dashboards``: write, check and lint the dashboards, and bring them to a Grafana."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import yaml

from firsttoken.dashboards import check as checks
from firsttoken.dashboards import lint as rules
from firsttoken.dashboards import render
from firsttoken.dashboards.expand import View
from firsttoken.dashboards.grafana_api import Grafana
from firsttoken.dashboards.options import (
    Seconds,
    chosen,
    names_argument,
    prometheus_option,
    runbooks_option,
    source_option,
)
from firsttoken.dashboards.pictures import Theme, picture
from firsttoken.errors import CheckFailedError, UsageError
from firsttoken.prometheus import Prometheus
from firsttoken.vocabulary import Vocabulary

__all__ = ["dashboards"]

FORMATS = ("json", "configmap", "grafana-operator", "provisioning")


@click.group(
    epilog="""\b
Examples:
  firsttoken dashboards generate --out dashboards
  firsttoken dashboards check --prometheus http://127.0.0.1:9090
"""
)
def dashboards() -> None:
    """Grafana dashboards for LLM serving."""


@dashboards.command(
    epilog="""\b
Examples:
  firsttoken dashboards generate --out dashboards
  firsttoken dashboards generate --source vllm,dcgm --out dashboards
  firsttoken dashboards generate --format configmap --namespace monitoring | kubectl apply -f -
  firsttoken dashboards generate --format provisioning --out /etc/grafana/firsttoken
"""
)
@names_argument
@source_option
@runbooks_option
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write files into this folder."
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="json", show_default=True,
    help="JSON files; Kubernetes objects; or JSON files with Grafana's provisioning file.",
)  # fmt: skip
@click.option("--namespace", help="Namespace of the Kubernetes objects.")
@click.option("--folder", default="LLM", show_default=True, help="Folder in Grafana.")
def generate(
    names: tuple[str, ...],
    vocabulary: Vocabulary,
    runbooks: str,
    out: Path | None,
    form: str,
    namespace: str | None,
    folder: str,
) -> None:
    """Write the dashboards, all or those named; to stdout without --out."""
    files = _files(chosen(names, vocabulary, runbooks), form, namespace, folder, out)
    if out is None:
        click.echo(_stream(files), nl=False)
        return
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")
    click.echo(f"wrote {len(files)} files to {out}", err=True)


def _stream(files: Mapping[str, str]) -> str:
    if all(name.endswith(".json") for name in files):
        texts = [json.loads(text) for text in files.values()]
        return render.to_json(texts[0]) if len(texts) == 1 else render.to_json_list(texts)
    return "---\n".join(text for name, text in files.items() if name.endswith(".yaml"))


def _files(
    chosen: Mapping[str, Mapping[str, Any]],
    form: str,
    namespace: str | None,
    folder: str,
    out: Path | None,
) -> dict[str, str]:
    if form == "configmap":
        return {
            f"{uid}.yaml": _yaml(
                render.configmap(uid, {uid: shape}, namespace=namespace, folder=folder)
            )
            for uid, shape in chosen.items()
        }
    if form == "grafana-operator":
        return {
            f"{uid}.yaml": _yaml(
                render.grafana_dashboard(shape, namespace=namespace, folder=folder)
            )
            for uid, shape in chosen.items()
        }
    files = {f"{uid}.json": render.to_json(shape) for uid, shape in chosen.items()}
    if form == "provisioning":
        if out is None:
            raise UsageError("--format provisioning needs --out, the folder that Grafana reads")
        files["provider.yaml"] = _yaml(render.provider(str(out.resolve()), folder=folder))
    return files


def _yaml(value: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(value, sort_keys=True, allow_unicode=True, width=1000)
    return text


@dashboards.command(
    epilog="""\b
Examples:
  firsttoken dashboards check --prometheus http://127.0.0.1:9090
  firsttoken dashboards check --prometheus http://127.0.0.1:9090 --range 5m firsttoken-slo
"""
)
@names_argument
@prometheus_option
@source_option
@click.option("--range", "seconds", type=Seconds(), default="1h", show_default=True)
@click.option(
    "--scrape-interval", type=Seconds(), default="15s", show_default=True,
    help="Of the engines; $__rate_interval follows from it.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(
    names: tuple[str, ...],
    url: str,
    vocabulary: Vocabulary,
    seconds: float,
    scrape_interval: float,
    as_json: bool,
) -> None:
    """Run every query with every setting of the variables, and say what each panel shows.

    Exit code 1 when a panel is broken in any setting.
    """
    prometheus = Prometheus(url)
    results = [
        (setting, result)
        for shape in chosen(names, vocabulary).values()
        for setting, found in checks.check_settings(
            prometheus,
            shape,
            seconds=seconds,
            scrape_interval=scrape_interval,
            vocabulary=vocabulary,
        ).items()
        for result in found
    ]
    if as_json:
        rows = [{"setting": setting, **asdict(result)} for setting, result in results]
        click.echo(json.dumps(rows, indent=2))
    else:
        _print(results)
    broken = [result for _, result in results if result.status == "broken"]
    if broken:
        raise CheckFailedError(f"{len(broken)} of {len(results)} panels are broken")


@dashboards.command(
    epilog="""\b
Examples:
  firsttoken dashboards pictures --prometheus http://127.0.0.1:9090 --out pictures --range 15m
"""
)
@names_argument
@prometheus_option
@source_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--range", "seconds", type=Seconds(), default="1h", show_default=True)
@click.option("--end", type=float, help="Unix time; default now.")
@click.option("--scrape-interval", type=Seconds(), default="15s", show_default=True)
@click.option("--theme", type=click.Choice(("dark", "light")), default="dark", show_default=True)
@click.option(
    "--build", type=click.Path(file_okay=False, path_type=Path), default=Path("build/browser"),
    show_default=True, help="Where dashboards/browser/build.sh installed Grafana's libraries.",
)  # fmt: skip
def pictures(
    names: tuple[str, ...],
    url: str,
    vocabulary: Vocabulary,
    out: Path,
    seconds: float,
    end: float | None,
    scrape_interval: float,
    theme: Theme,
    build: Path,
) -> None:
    """Draw the dashboards with Grafana's libraries, one PNG each; needs chromium."""
    until = time.time() if end is None else end
    view = View(until - seconds, until, scrape_interval)
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for uid, shape in chosen(names, vocabulary).items():
        drawn = picture(shape, url, view, out / f"{uid}.png", build=build, theme=theme)
        empty = f", empty: {', '.join(drawn.empty)}" if drawn.empty else ""
        click.echo(f"{drawn.file}: {len(drawn.panels)} panels{empty}")
        for text in drawn.clipped:
            click.echo(f"  cut off: {text}")
        wrong = [f"{p['title']}: {p['error']}" for p in drawn.panels if p["error"]]
        failed += [f"{uid}: {problem}" for problem in (*drawn.errors, *wrong)]
    if failed:
        raise CheckFailedError("\n".join(failed))


@dashboards.command(
    epilog="""\b
Examples:
  firsttoken dashboards lint
  firsttoken dashboards lint --json
"""
)
@source_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lint(vocabulary: Vocabulary, as_json: bool) -> None:
    """Hold the dashboards to dashboard-linter's rules and to our own; exit code 1 if one fails."""
    shapes = chosen((), vocabulary)
    findings = rules.lint(shapes, vocabulary=vocabulary)
    if as_json:
        excluded = [asdict(exclusion) for exclusion in rules.EXCLUSIONS]
        found = [asdict(finding) for finding in findings]
        click.echo(json.dumps({"findings": found, "exclusions": excluded}, indent=2))
    for finding in () if as_json else findings:
        where = f"{finding.dashboard}: {finding.panel}" if finding.panel else finding.dashboard
        click.echo(f"{finding.rule}: {where}: {finding.message}")
    if findings:
        raise CheckFailedError(f"{len(findings)} findings in {len(shapes)} dashboards")
    if not as_json:
        click.echo(f"{len(shapes)} dashboards, no findings, {len(rules.EXCLUSIONS)} exclusions")


def _grafana_options(command: Callable[..., None]) -> Callable[..., None]:
    url = click.option("--grafana", "url", required=True, help="URL of the Grafana.")
    token = click.option(
        "--token",
        envvar="FIRSTTOKEN_GRAFANA_TOKEN",
        help="Service account token; better in the environment as FIRSTTOKEN_GRAFANA_TOKEN.",
    )
    return url(token(command))


@dashboards.command(
    epilog="""\b
Examples:
  firsttoken dashboards diff --grafana https://grafana.example.org
"""
)
@names_argument
@source_option
@runbooks_option
@_grafana_options
def diff(
    names: tuple[str, ...], vocabulary: Vocabulary, runbooks: str, url: str, token: str | None
) -> None:
    """Show what differs in a Grafana from the dashboards here; exit code 1 if anything does."""
    grafana = Grafana(url, token)
    shapes = chosen(names, vocabulary, runbooks)
    texts = [text for shape in shapes.values() if (text := grafana.diff(shape))]
    for text in texts:
        click.echo(text, nl=False)
    if texts:
        raise CheckFailedError(f"{len(texts)} of {len(shapes)} dashboards differ")
    click.echo(f"{len(shapes)} dashboards are the same", err=True)


@dashboards.command(
    epilog="""\b
Examples:
  firsttoken dashboards push --grafana https://grafana.example.org --dry-run
  firsttoken dashboards push --grafana https://grafana.example.org --folder LLM --message "v0.2"
"""
)
@names_argument
@source_option
@runbooks_option
@_grafana_options
@click.option("--folder", default="LLM", show_default=True, help="Made if it is not there.")
@click.option("--message", default="firsttoken dashboards push", show_default=True)
@click.option("--dry-run", is_flag=True, help="Only say what would be written.")
def push(
    names: tuple[str, ...],
    vocabulary: Vocabulary,
    runbooks: str,
    url: str,
    token: str | None,
    folder: str,
    message: str,
    dry_run: bool,
) -> None:
    """Write the dashboards that differ into a Grafana; the others are left alone."""
    grafana = Grafana(url, token)
    shapes = chosen(names, vocabulary, runbooks)
    changed = [shape for shape in shapes.values() if grafana.diff(shape)]
    if changed and not dry_run:
        uid = grafana.folder(folder) or grafana.make_folder(folder)
        for shape in changed:
            grafana.push(shape, folder=uid, message=message)
    done = "would write" if dry_run else "wrote"
    for shape in changed:
        click.echo(f"{done} {shape['uid']}")
    if not changed:
        click.echo("nothing to write")


def _print(results: list[tuple[str, checks.PanelResult]]) -> None:
    """Each panel as opened; another setting only where it shows something else."""
    opened: dict[tuple[str, str], str] = {}
    for setting, result in results:
        key = (result.dashboard, result.panel)
        if opened.get(key) == result.status:
            continue
        opened.setdefault(key, result.status)
        where = "" if setting == "as opened" else f" [{setting}]"
        click.echo(f"{result.status:<12} {result.dashboard}: {result.panel}{where}")
        if result.status != "data":
            for line in result.detail:
                click.echo(f"{'':<12}   {line}")
