"""``firsttoken collect``."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any, get_args

import click

from firsttoken.collector.collector import Answer, Collector
from firsttoken.collector.environment import from_environment, overrides
from firsttoken.collector.explain import as_json, as_text
from firsttoken.collector.form import OPENMETRICS, TEXT
from firsttoken.collector.serving import serve
from firsttoken.collector.settings import DEFAULT_LISTEN, Names, Settings, load_settings
from firsttoken.config import validate_model
from firsttoken.errors import CheckFailedError, UsageError

__all__ = ["collect"]


@click.command(
    epilog="""\b
Examples:
  firsttoken collect --source engine=http://127.0.0.1:8000/metrics
  firsttoken collect --source vllm=8000,profile=vllm --source gpu=9400,profile=dcgm --listen :9464
  firsttoken collect --config collector.yaml
  firsttoken collect --config collector.yaml --once
  firsttoken collect --source vllm=8000 --explain
"""
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="FIRSTTOKEN_COLLECT_CONFIG",
    show_envvar=True,
    help="The collector's configuration, in YAML.",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME=URL|PORT[/PATH][,KEY=VALUE]",
    envvar="FIRSTTOKEN_COLLECT_SOURCES",
    show_envvar=True,
    help="A source; can be given several times, and besides --config.  KEY is profile or timeout.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    envvar="FIRSTTOKEN_COLLECT_LISTEN",
    show_envvar=True,
    help=f"Where to serve; port 0 takes a free one.  [default: {DEFAULT_LISTEN}]",
)
@click.option(
    "--names",
    type=click.Choice(get_args(Names)),
    help="Under which names what the catalogue knows is served.  [default: rename]",
)
@click.option("--once", is_flag=True, help="Print one merged page and end.")
@click.option("--explain", is_flag=True, help="Print what became of each family and end.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "openmetrics", "json"]),
    default="text",
    show_default=True,
    help="With --once: text or openmetrics.  With --explain: text or json.",
)
def collect(
    config: Path | None,
    sources: tuple[str, ...],
    listen: str | None,
    names: str | None,
    *,
    once: bool,
    explain: bool,
    form: str,
) -> None:
    """Merge the metrics of several sources into one page under OpenTelemetry names.

    All sources are scraped when the page is asked for.  /metrics is the page; / and /sources say,
    to people and programs, what became of each source and family; /healthz answers while the
    process lives, /readyz when a source can be read.  With --once and --explain the exit code is 1
    when a source could not be read.

    SIGHUP reads the configuration again.  Keys of the configuration that are one word or number
    are also read from the environment: FIRSTTOKEN_COLLECT_TIMEOUT and so on.

    Without a configuration and sources, the variables of KServe's qpext are read:
    KSERVE_CONTAINER_PROMETHEUS_METRICS_PORT and _PATH, AGGREGATE_PROMETHEUS_METRICS_PORT.
    """
    flags = {key: value for key, value in (("listen", listen), ("names", names)) if value}

    def read() -> Settings:
        return _settings(config, sources, flags)

    if once or explain:
        if form == ("openmetrics" if explain else "json"):
            raise UsageError(f"--format {form} is not for --{'explain' if explain else 'once'}")
        asyncio.run(_once(read(), form, explain=explain))
        return
    # A sidecar's log is all that tells why a source is missing: say when its health changes.
    logging.getLogger("firsttoken").setLevel(logging.INFO)
    asyncio.run(serve(read, _announce))


def _announce(url: str) -> None:
    click.echo(f"listening {url}")


async def _once(settings: Settings, form: str, *, explain: bool) -> None:
    async with Collector(settings) as collector:
        answer = await collector.answer(OPENMETRICS if form == "openmetrics" else TEXT)
        if explain:
            told = as_json if form == "json" else as_text
            click.echo(told(collector.state(), collector.collisions), nl=False)
        else:
            click.echo(answer.page, nl=False)
    _complain(answer)


def _complain(answer: Answer) -> None:
    down = [result for result in answer.results if not result.up]
    if down:
        said = "; ".join(f"{r.source}: {r.reason}: {r.detail}" for r in down)
        raise CheckFailedError(f"{len(down)} of {len(answer.results)} sources not read: {said}")


def _settings(config: Path | None, sources: tuple[str, ...], flags: dict[str, str]) -> Settings:
    """File, environment and flags together; the flags win, then the environment."""
    told: dict[str, Any] | None = None
    if config is not None:
        told = load_settings(config).model_dump()
    elif not sources:
        told = from_environment(os.environ)
        if told is None:
            raise UsageError("nothing to collect: give --config FILE or --source NAME=URL")
    told = told or {"sources": []}
    told["sources"] = [*told["sources"], *(_source(text) for text in sources)]
    place = config or ("command line" if sources else "environment")
    return validate_model(told | overrides(os.environ) | flags, Settings, place)


def _source(text: str) -> dict[str, str]:
    """One ``--source``; raises UsageError."""
    name, equals, rest = text.partition("=")
    url, *extras = rest.split(",")
    if not equals or not url:
        raise UsageError(f"--source {text}: expected NAME=URL or NAME=PORT, then ,profile=P")
    port, _, path = url.removeprefix(":").partition("/")
    source = {"name": name}
    source |= {"port": port, "path": path or "metrics"} if port.isdigit() else {"url": url}
    for extra in extras:
        key, _, value = extra.partition("=")
        if key not in ("profile", "timeout") or not value:
            raise UsageError(f"--source {text}: after the URL come profile=P and timeout=D only")
        source[key] = value
    return source
