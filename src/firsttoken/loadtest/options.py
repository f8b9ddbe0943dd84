"""What the commands of load tests have in common: their options, and how a target is reached."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click

from firsttoken.config import parse_duration
from firsttoken.errors import UsageError
from firsttoken.loadgen.judge import Objective, parse_objective
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadtest.observe import Nobody, observer
from firsttoken.loadtest.step import Site
from firsttoken.rules import slo as slo_file
from firsttoken.validate import engine
from firsttoken.validate.judge import client_objectives
from firsttoken.validate.stack import Exporter

__all__ = [
    "FILE",
    "FOLDER",
    "Numbers",
    "Seconds",
    "form_options",
    "interruptible",
    "objectives_of",
    "reached",
    "target_options",
]

F = TypeVar("F", bound=Callable[..., Any])
INTERRUPTED_CODE = 130
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


class Seconds(click.ParamType[float]):
    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return parse_duration(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


class Numbers(click.ParamType[tuple[Any, ...]]):
    """Numbers with commas between, such as ``1,2,4``."""

    name = "list"

    def __init__(self, kind: type[int] | type[float]) -> None:
        self._kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self._kind(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if not numbers or min(numbers) <= 0:
            self.fail(f"expected numbers above 0 such as 1,2,4, not {value!r}", param, ctx)
        return tuple(dict.fromkeys(numbers))


def target_options(command: F) -> F:
    for option in reversed(
        (
            click.option("--target", metavar="URL", help="The server.  [required]"),
            click.option("--model", help="Model to ask for; default: the one that is served."),
            click.option("--load", "load_file", type=FILE, help="Load file (YAML): the workload."),
            click.option("--slo", type=FILE, help="The objectives, a YAML file."),
            click.option("--objective", "texts", multiple=True, metavar="TEXT",
                         help="An objective such as ttft<500ms@95, besides or without --slo."),
            click.option("--gpu-exporter", "exporters", multiple=True, metavar="URL[,PROFILE]",
                         help="The page of a GPU exporter beside the server."),
            click.option("--out", type=FOLDER, help="Folder of the report and of all records."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def form_options(command: F) -> F:
    for option in reversed(
        (
            click.option("--json", "form", flag_value="json", help="Print the report as JSON."),
            click.option("--md", "form", flag_value="md", help="Print the report as Markdown."),
            click.option("--csv", "form", flag_value="csv", help="Print the report as CSV."),
            click.option("--junit", "form", flag_value="junit", help="Print the report as JUnit."),
            click.option("--schema", is_flag=True, help="Print the JSON schema and end."),
        )
    ):
        command = option(command)
    return command


def objectives_of(slo: Path | None, texts: tuple[str, ...]) -> tuple[Objective, ...]:
    """Those of the file that a client can see, and those given as texts."""
    from_file = client_objectives(slo_file.load(slo)) if slo else ()
    if slo and not from_file:
        raise UsageError(f"{slo}: none of its objectives is one that a client can see")
    return (*from_file, *map(parse_objective, texts))


@contextlib.contextmanager
def reached(
    target: str | None, model: str | None, load_file: Path | None, exporters: tuple[str, ...],
    folder: Path,
) -> Iterator[tuple[Site, str | None]]:  # fmt: skip
    """The target, reached and watched, and what engine it is."""
    if target is None:
        raise UsageError("--target is required: the server, such as http://127.0.0.1:8000")
    if load_file:
        model = model or LoadFile.load(load_file).model
    url = engine.base_url(target)
    pages = [Exporter(text) for text in exporters]
    found = engine.reach(url, model)
    with observer(url, found.model, pages, folder) as watcher:
        if isinstance(watcher, Nobody):
            click.echo(f"firsttoken: {url}/metrics: not read; only clients' records", err=True)
        yield Site(url, found.model, load_file, watcher), found.version


@contextlib.contextmanager
def interruptible(folder: Path) -> Iterator[Callable[[], None]]:
    """SIGINT and SIGTERM end the load that runs; what ended before is kept.

    Gives a function to call now and then: an exception out of a signal's handler is lost where it
    falls into the interpreter's own hooks, such as those of a fork.
    """
    asked = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.default_int_handler(number, frame)

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        yield check
    except KeyboardInterrupt:
        where = f"--out {folder}"
        click.echo(f"\nfirsttoken: interrupted; the same command with {where} goes on", err=True)
        sys.exit(INTERRUPTED_CODE)
