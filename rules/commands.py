"""``firsttoken rules``: objectives to rules, their tests and explanations."""

import json
from pathlib import Path
from typing import Literal

import click
import yaml

from firsttoken.config import format_duration, parse_duration, validate_model
from firsttoken.errors import ConfigError, UsageError
from firsttoken.rules import buckets, openslo, output, presets, scenarios
from firsttoken.rules.explain import explain as explained
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Options
from firsttoken.rules.review import lint, report
from firsttoken.rules.routing import alertmanager
from firsttoken.rules.slo import SloFile, load
from firsttoken.sources import vocabulary_of

__all__ = ["alertmanager", "rules"]

_FILE = click.argument(
    "file", metavar="FILE", type=click.Path(dir_okay=False, exists=True, path_type=Path)
)


class _Seconds(click.ParamType[int]):
    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            seconds = parse_duration(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        if seconds < 1 or seconds != int(seconds):
            self.fail("expected whole seconds, 1s or more", param, ctx)
        return int(seconds)


_SCRAPE = click.option(
    "--scrape-interval", "scrape", type=_Seconds(), default="30s", show_default=True,
    help="How often Prometheus scrapes the service; windows must span several scrapes.",
)  # fmt: skip
_SOURCE = click.option(
    "--source", metavar="NAME[,NAME]",
    help="What Prometheus scrapes: semconv (the collector), or profiles such as vllm,dcgm; without"
    " it, what FILE says.",
)  # fmt: skip
_SNAP = click.option(
    "--snap", type=click.Choice(("up", "down")),
    help="Move a threshold that is no bucket bound to the next bound: up is looser.",
)  # fmt: skip


def _read(file: Path, snap: Literal["up", "down"] | None) -> SloFile:
    slo = load(file)
    if snap is None:
        return slo
    moved = buckets.snapped(slo, snap)
    for before, after in zip(slo.objectives, moved.objectives, strict=True):
        if before != after:
            click.echo(f"{after.name}: measured at the next bound {snap}, not as written", err=True)
    return moved


@click.group(
    epilog="""\b
Examples:
  firsttoken rules generate slo.yaml > rules.yaml
  firsttoken rules explain slo.yaml
  firsttoken rules test slo.yaml
"""
)
def rules() -> None:
    """Service-level objectives as Prometheus rules and burn-rate alerts."""


@rules.command(
    epilog="""\b
Examples:
  firsttoken rules generate slo.yaml > rules.yaml
  firsttoken rules generate slo.yaml --source vllm,dcgm > rules.yaml
  firsttoken rules generate slo.yaml --format prometheusrule --namespace ml | kubectl apply -f -
"""
)
@_FILE
@_SCRAPE
@_SOURCE
@_SNAP
@click.option(
    "--format", "form", type=click.Choice(("file", "prometheusrule")), default="file",
    show_default=True, help="A plain rule file, or the Prometheus operator's object.",
)  # fmt: skip
@click.option("--namespace", help="Namespace of the PrometheusRule.")
@click.option("--min-bad", default=3, show_default=True, type=click.IntRange(1),
              help="Fewer bad events than this in a window alert nobody.")  # fmt: skip
@click.option("--runbooks", default="", help="Address of the folder of runbooks.")
@click.option("--grafana", default="",
              help="Address of a Grafana that has the dashboards, for the alerts.")  # fmt: skip
@click.option("--retention", type=_Seconds(),
              help="How long Prometheus keeps samples; a longer period is refused.")  # fmt: skip
def generate(
    file: Path, scrape: int, source: str | None, snap: Literal["up", "down"] | None, form: str,
    namespace: str | None, min_bad: int, runbooks: str, grafana: str, retention: int | None,
) -> None:  # fmt: skip
    """Write the rules of the objectives in FILE to stdout."""
    slo = _read(file, snap)
    if retention and slo.period > retention:
        raise UsageError(
            f"{file}: a period of {format_duration(slo.period)} needs samples for as long, and"
            f" Prometheus keeps them for {format_duration(retention)}; keep them longer"
            " (--storage.tsdb.retention.time) or take a shorter period"
        )
    groups = rule_groups(
        slo, vocabulary_of(source or slo.source), Options(scrape, min_bad, runbooks, grafana)
    )
    if form == "file":
        click.echo(output.rule_file(groups), nl=False)
        return
    name = f"firsttoken-{slo.service}"
    click.echo(
        output.to_yaml(output.prometheusrule(groups, name=name, namespace=namespace)), nl=False
    )


@rules.command(
    epilog="""\b
Examples:
  firsttoken rules explain slo.yaml
"""
)
@_FILE
@_SCRAPE
def explain(file: Path, scrape: int) -> None:
    """Say what pages when, after how long, and how much budget is then spent."""
    click.echo(explained(load(file), Options(scrape)), nl=False)


@rules.command(
    epilog="""\b
Examples:
  firsttoken rules test slo.yaml
  firsttoken rules test slo.yaml --out unittests
"""
)
@_FILE
@_SCRAPE
@_SOURCE
@_SNAP
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Keep the rules and their unit tests in this folder.")  # fmt: skip
def test(
    file: Path, scrape: int, source: str | None, snap: Literal["up", "down"] | None,
    out: Path | None,
) -> None:  # fmt: skip
    """Write promtool unit tests for the rules of FILE and run them."""
    slo = _read(file, snap)
    count = scenarios.run(slo, vocabulary_of(source or slo.source), Options(scrape), out)
    click.echo(f"{count} of {count} scenarios passed")


@rules.command(
    epilog="""\b
Examples:
  firsttoken rules init chat > slo.yaml
  firsttoken rules init rag --service docs > slo.yaml
"""
)
@click.argument("preset", type=click.Choice(tuple(presets.PRESETS)))
@click.option("--service", default="llm", show_default=True, help="The service's name.")
def init(preset: str, service: str) -> None:
    """Write an objective file to begin with; each figure says where it comes from."""
    written = presets.text(preset, service)
    validate_model(yaml.safe_load(written), SloFile, "--service")
    click.echo(written, nl=False)


@rules.command(
    epilog="""\b
Examples:
  firsttoken rules from-openslo openslo.yaml > slo.yaml
"""
)
@_FILE
def from_openslo(file: Path) -> None:
    """Turn OpenSLO v1 documents into an objective file, for ratios of two counters."""
    try:
        documents = [one for one in yaml.safe_load_all(file.read_text("utf-8")) if one is not None]
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError(file, ["not valid YAML"]) from None
    data = openslo.convert(documents, str(file))
    validate_model(data, SloFile, file)
    click.echo(output.to_yaml(data), nl=False)


@rules.command()
def schema() -> None:
    """Write the JSON Schema of the objective file, for editors and checks."""
    shape = SloFile.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", **shape}
    click.echo(json.dumps(head, indent=2))


rules.add_command(report)
rules.add_command(lint)
