"""``firsttoken rules``: objectives to rules, their tests and explanations."""

import json
from pathlib import Path
from typing import Literal

import click
import yaml

from firsttoken.config import format_duration, validate_model
from firsttoken.errors import ConfigError, UsageError
from firsttoken.rules import arguments, buckets, openslo, output, packs, presets, scenarios
from firsttoken.rules.arguments import Seconds, TargetVersion
from firsttoken.rules.bounds import Version
from firsttoken.rules.explain import explain as explained
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Context, Options
from firsttoken.rules.objectives import told
from firsttoken.rules.review import lint, slo
from firsttoken.rules.routing import alertmanager
from firsttoken.rules.slo import SloFile, load, with_source
from firsttoken.sources import vocabulary_of

__all__ = ["alertmanager", "rules", "slo"]

_FILE = click.argument(
    "file", metavar="FILE", type=click.Path(dir_okay=False, exists=True, path_type=Path)
)


_SCRAPE = click.option(
    "--scrape-interval", "scrape", type=Seconds(), default="30s", show_default=True,
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

_FEWEST = click.option(
    "--min-bad", default=3, show_default=True, type=click.IntRange(1),
    help="Fewer bad events than this in a window alert nobody.",
)  # fmt: skip
_TARGET = click.option(
    "--target", type=TargetVersion(), default="2.42", show_default=True,
    help="The version of Prometheus; nothing is written that an older one refuses.",
)  # fmt: skip
_KEPT = 15 * 86400
"""What Prometheus keeps unless told otherwise."""


def _read(file: Path, source: str | None, snap: Literal["up", "down"] | None) -> SloFile:
    found = with_source(load(file), source)
    if snap is None:
        return found
    moved = buckets.snapped(found, snap)
    for before, after in zip(found.objectives, moved.objectives, strict=True):
        if before != after:
            was, now = (told(getattr(one, "threshold")) for one in (before, after))  # noqa: B009
            click.echo(f"{after.name}: {was} is measured as {now}, the next bound {snap}", err=True)
    return moved


def _check_retention(file: Path, slo: SloFile, retention: int | None) -> None:
    if retention and slo.period > retention:
        raise UsageError(
            f"{file}: a period of {format_duration(slo.period)} needs samples for as long, and"
            f" Prometheus keeps them for {format_duration(retention)}; keep them longer"
            " (--storage.tsdb.retention.time) or take a shorter period"
        )


def _tell_retention(slo: SloFile) -> None:
    if slo.period > _KEPT:
        period = format_duration(slo.period)
        click.echo(
            f"note: a period of {period} needs --storage.tsdb.retention.time={period} or more;"
            " Prometheus keeps 15d unless told otherwise (--retention says what yours keeps)",
            err=True,
        )


def _tell_missing(context: Context) -> None:
    for pack in dict.fromkeys(context.slo.packs):
        for metric in packs.missing(context, pack):
            click.echo(
                f"note: pack {pack}: {context.vocabulary.name} does not report {metric}; its alert"
                " is left out",
                err=True,
            )


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
  firsttoken rules generate slo.yaml --snap up --target 3.0 --retention 90d > rules.yaml
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
@_FEWEST
@click.option("--runbooks", default="", help="Address of the folder of runbooks.")
@click.option("--grafana", default="",
              help="Address of a Grafana that has the dashboards, for the alerts.")  # fmt: skip
@click.option("--retention", type=Seconds(),
              help="How long Prometheus keeps samples; a longer period is refused.")  # fmt: skip
@_TARGET
@click.option("--query-offset", "offset", type=Seconds(),
              help="How late samples may come; needs Prometheus 2.53.")  # fmt: skip
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE",
    help="Onto the PrometheusRule, for the operator's ruleSelector; repeatable.",
)  # fmt: skip
def generate(
    file: Path, scrape: int, source: str | None, snap: Literal["up", "down"] | None, form: str,
    namespace: str | None, min_bad: int, runbooks: str, grafana: str, retention: int | None,
    target: Version, offset: int | None, labels: tuple[str, ...],
) -> None:  # fmt: skip
    """Write the rules of the objectives in FILE to stdout."""
    read = _read(file, source, snap)
    _check_retention(file, read, retention)
    if form == "file" and (namespace or labels):
        raise UsageError("--namespace and --label are for --format prometheusrule")
    options = Options(scrape, min_bad, runbooks, grafana, target, offset or 0)
    vocabulary = vocabulary_of(read.source)
    groups = rule_groups(read, vocabulary, options)
    if form == "file":
        text = output.rule_file(groups, options)
    else:
        text = output.to_yaml(output.prometheusrule(
            groups, name=f"firsttoken-{read.service}", namespace=namespace,
            labels=arguments.pairs("--label", labels), options=options,
        ))  # fmt: skip
    _tell_missing(Context(read, vocabulary, options))
    if retention is None:
        _tell_retention(read)
    click.echo(text, nl=False)


@rules.command(
    epilog="""\b
Examples:
  firsttoken rules explain slo.yaml
  firsttoken rules explain slo.yaml --scrape-interval 15s --snap up
"""
)
@_FILE
@_SCRAPE
@_SOURCE
@_SNAP
@_FEWEST
def explain(
    file: Path, scrape: int, source: str | None, snap: Literal["up", "down"] | None, min_bad: int
) -> None:
    """Say what pages when, after how long, and how much budget is then spent."""
    read = _read(file, source, snap)
    context = Context(read, vocabulary_of(read.source), Options(scrape, min_bad))
    click.echo(explained(context), nl=False)


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
    read = _read(file, source, snap)
    count = scenarios.run(read, vocabulary_of(read.source), Options(scrape), out)
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


rules.add_command(lint)
