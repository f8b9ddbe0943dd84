"""The ``firsttoken logs`` command: what only a model server's log knows."""

import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import yaml

from firsttoken.errors import CheckFailedError, UsageError
from firsttoken.logs.entry import Reader
from firsttoken.logs.lines import Splitter
from firsttoken.logs.page import page
from firsttoken.logs.privacy import check
from firsttoken.logs.serve import Watcher, serve
from firsttoken.logs.shipping import alloy, collector, loki
from firsttoken.logs.show import as_json, lines
from firsttoken.logs.story import Story, Told
from firsttoken.logs.tail import chunks

__all__ = ["logs"]

DEFAULT_LISTEN = "127.0.0.1:9465"
_FILE = click.argument("file", default="-", type=click.Path(path_type=Path, allow_dash=True))
_MODEL = click.option("--model", help="Value of gen_ai.request.model; default: as the log says.")


@click.group(
    epilog="""\b
Examples:
  firsttoken logs show vllm.log
  kubectl logs deploy/llama --timestamps | firsttoken logs show
  firsttoken logs serve /var/log/vllm.log --listen 0.0.0.0:9465
  firsttoken logs config alloy > config.alloy
"""
)
def logs() -> None:
    """What only a vLLM log knows: starts, capacity, aborted requests, fatal errors."""


@logs.command(
    epilog="""\b
Examples:
  firsttoken logs show vllm.log
  kubectl logs deploy/llama --timestamps | firsttoken logs show --json
  firsttoken logs show --metrics vllm.log
"""
)
@_FILE
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--metrics", "form", flag_value="metrics", help="Print a Prometheus page.")
@_MODEL
def show(file: Path, form: str | None, model: str | None) -> None:
    """Print what a log in FILE tells, and when; - is standard input."""
    path = None if str(file) == "-" else file
    told, cut = _read(path)
    if form == "json":
        click.echo(json.dumps({**as_json(told), "cut": cut}, indent=2))
    elif form == "metrics":
        click.echo(page(told, model), nl=False)
    else:
        click.echo("\n".join(lines(told)))
        if cut:
            click.echo(f"{cut} lines are longer than what was read of them")


def _read(path: Path | None) -> tuple[Told, int]:
    story, splitter, reader = Story(), Splitter(), Reader(_written(path))
    for data in chunks(path, follow=False, stopped=threading.Event()):
        _take(story, reader, splitter.feed(data))
    _take(story, reader, splitter.close())
    return story.told(), splitter.cut


def _written(path: Path | None) -> datetime:
    """When the log was last written, which says the year that its lines leave out."""
    with contextlib.suppress(OSError):
        if path is not None:
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.now(UTC)


def _take(story: Story, reader: Reader, found: Iterator[str]) -> None:
    for line in found:
        entry = reader.read(line)
        if entry is not None:
            story.take(entry)


@logs.command(
    "serve",
    epilog="""\b
Examples:
  firsttoken logs serve /var/log/vllm.log
  vllm serve MODEL 2>&1 | tee /dev/stderr | firsttoken logs serve --listen 0.0.0.0:9465
""",
)
@_FILE
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, metavar="HOST:PORT")
@_MODEL
def serve_command(file: Path, listen: str, model: str | None) -> None:
    """Follow a log in FILE, or standard input, and serve what it tells on /metrics."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit():
        raise UsageError(f"--listen {listen!r}: expected HOST:PORT, with port 0 for any free one")
    path = None if str(file) == "-" else file
    watcher = Watcher(path)
    asyncio.run(serve(watcher, host.strip("[]") or "0.0.0.0", int(port), model, _announce))  # noqa: S104


def _announce(url: str) -> None:
    click.echo(f"listening {url}")
    sys.stdout.flush()


@logs.command(
    epilog="""\b
Examples:
  firsttoken logs privacy --log vllm.log
  firsttoken logs privacy -- --enable-log-requests --log-level DEBUG
"""
)
@click.option("--log", type=click.Path(path_type=Path), help="A log to look through.")
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="As the server's.")
@click.argument("arguments", nargs=-1)
def privacy(log: Path | None, environment: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    """Check that prompts and answers stay out of the log: vLLM's ARGUMENTS, or a log itself.

    Exit code 1 when they do not.
    """
    if log is None and not arguments and not environment:
        raise UsageError(
            "give vLLM's arguments after --, its environment, or a log to look through"
        )
    pairs = dict(pair.partition("=")[::2] for pair in environment)
    found = list(check(arguments, pairs))
    if log is not None:
        told, _ = _read(log)
        if told.content:
            found.append(
                f"{log}: {told.content} lines hold prompts or answers, the first is line"
                f" {told.first_content}"
            )
    for sentence in found:
        click.echo(sentence)
    if found:
        raise CheckFailedError("what users write would stand in the log")
    click.echo("nothing of prompts or answers would be logged")


@logs.group(
    epilog="""\b
Examples:
  firsttoken logs config collector --loki http://loki:3100/otlp > otelcol.yaml
  firsttoken logs config alloy --selector app.kubernetes.io/name=llama > config.alloy
  firsttoken logs config loki > loki.yaml
"""
)
def config() -> None:
    """Configuration of what ships and keeps the log, generated."""


@config.command("loki", epilog="\b\nExample:\n  firsttoken logs config loki > loki.yaml")
def loki_command() -> None:
    """A single Loki with structured metadata."""
    yaml.safe_dump(loki(), sys.stdout, sort_keys=False)


@config.command(
    "alloy",
    epilog="""\b
Example:
  firsttoken logs config alloy --selector app.kubernetes.io/name=llama > config.alloy
""",
)
@click.option("--loki", "url", default="http://loki:3100/loki/api/v1/push", show_default=True)
@click.option("--selector", default="app.kubernetes.io/name=vllm", show_default=True)
def alloy_command(url: str, selector: str) -> None:
    """Grafana Alloy: pods to Loki."""
    name, equals, value = selector.partition("=")
    if not equals or not name or not value:
        raise UsageError(f"--selector {selector!r}: expected LABEL=VALUE")
    click.echo(alloy(url, name, value), nl=False)


@config.command(
    "collector",
    epilog="""\b
Example:
  firsttoken logs config collector --loki http://loki:3100/otlp > otelcol.yaml
""",
)
@click.option("--loki", "endpoint", default="http://loki:3100/otlp", show_default=True)
@click.option("--include", default="/var/log/pods/*/vllm/*.log", show_default=True)
def collector_command(endpoint: str, include: str) -> None:
    """An OpenTelemetry Collector: container logs to Loki over OTLP."""
    yaml.safe_dump(collector(endpoint, include), sys.stdout, sort_keys=False, width=2**20)
