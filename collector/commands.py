"""``firsttoken collect``."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import click

from firsttoken.collector.collector import Answer, Collector
from firsttoken.collector.environment import from_environment
from firsttoken.collector.form import OPENMETRICS, TEXT
from firsttoken.collector.serving import serve
from firsttoken.collector.settings import DEFAULT_LISTEN, Settings, load_settings
from firsttoken.config import validate_model
from firsttoken.errors import CheckFailedError, UsageError

__all__ = ["collect"]


@click.command(
    epilog="""\b
Examples:
  firsttoken collect --source engine=http://127.0.0.1:8000/metrics
  firsttoken collect --source vllm=http://127.0.0.1:8000,profile=vllm \\
                     --source gpu=http://127.0.0.1:9400,profile=dcgm --listen :9464
  firsttoken collect --config collector.yaml
  firsttoken collect --config collector.yaml --once
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
    metavar="NAME=URL[,profile=P]",
    envvar="FIRSTTOKEN_COLLECT_SOURCES",
    show_envvar=True,
    help="A source; can be given several times, and besides --config.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    envvar="FIRSTTOKEN_COLLECT_LISTEN",
    show_envvar=True,
    help=f"Where to serve; port 0 takes a free one.  [default: {DEFAULT_LISTEN}]",
)
@click.option("--once", is_flag=True, help="Print one merged page and end.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "openmetrics"]),
    default="text",
    show_default=True,
    help="With --once: the format of the page.",
)
def collect(
    config: Path | None, sources: tuple[str, ...], listen: str | None, *, once: bool, form: str
) -> None:
    """Merge the metrics of several sources into one page under OpenTelemetry names.

    All sources are scraped when the page is asked for.  /metrics is the page, /sources says what
    became of each source and family, /healthz answers while the process lives.  With --once the
    exit code is 1 when a source could not be read.

    Without a configuration and sources, the variables of KServe's qpext are read:
    KSERVE_CONTAINER_PROMETHEUS_METRICS_PORT and _PATH, AGGREGATE_PROMETHEUS_METRICS_PORT.
    """
    if once:
        settings = _settings(config, sources, listen)
        answer = asyncio.run(_once(settings, form))
        click.echo(answer.page, nl=False)
        _complain(answer)
        return
    # A sidecar's log is all that tells why a source is missing: say when its health changes.
    logging.getLogger("firsttoken").setLevel(logging.INFO)
    asyncio.run(serve(lambda: _settings(config, sources, listen), _announce))


def _announce(url: str) -> None:
    click.echo(f"listening {url}")


async def _once(settings: Settings, form: str) -> Answer:
    async with Collector(settings) as collector:
        return await collector.answer(OPENMETRICS if form == "openmetrics" else TEXT)


def _complain(answer: Answer) -> None:
    down = [result for result in answer.results if not result.up]
    if down:
        said = "; ".join(f"{r.source}: {r.reason}: {r.detail}" for r in down)
        raise CheckFailedError(f"{len(down)} of {len(answer.results)} sources not read: {said}")


def _settings(config: Path | None, sources: tuple[str, ...], listen: str | None) -> Settings:
    """The configuration of file and flags together; the flags win."""
    told: dict[str, Any] | None = None
    if config is not None:
        told = load_settings(config).model_dump()
    elif not sources:
        told = from_environment(os.environ)
        if told is None:
            raise UsageError("nothing to collect: give --config FILE or --source NAME=URL")
    told = told or {"sources": []}
    told["sources"] = [*told["sources"], *(_source(text) for text in sources)]
    if listen is not None:
        told["listen"] = listen
    place = config or ("command line" if sources else "environment")
    return validate_model(told, Settings, place)


def _source(text: str) -> dict[str, str]:
    """One ``--source``; raises UsageError."""
    name, equals, rest = text.partition("=")
    url, *extras = rest.split(",")
    if not equals or not url:
        raise UsageError(f"--source {text}: expected NAME=URL or NAME=URL,profile=P")
    source = {"name": name, "url": url}
    for extra in extras:
        key, _, value = extra.partition("=")
        if key not in ("profile", "timeout") or not value:
            raise UsageError(f"--source {text}: after the URL come profile=P and timeout=D only")
        source[key] = value
    return source
