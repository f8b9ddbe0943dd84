"""What the commands of load tests have in common: their options, and how a target is reached."""

import contextlib
import functools
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType
from typing import Any

import click
from pydantic import BaseModel

from firsttoken.arguments import Seconds
from firsttoken.errors import UsageError
from firsttoken.loadgen.judge import Objective, parse_objective
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadtest.observe import Nobody, observer
from firsttoken.loadtest.output import Line
from firsttoken.loadtest.schema import schema_text
from firsttoken.loadtest.step import Site
from firsttoken.rules import slo as slo_file
from firsttoken.validate import engine
from firsttoken.validate.judge import client_objectives
from firsttoken.validate.stack import Exporter

__all__ = [
    "FILE",
    "FOLDER",
    "Numbers",
    "Running",
    "Seconds",
    "Target",
    "form_options",
    "objectives_of",
    "target_options",
]

INTERRUPTED_CODE = 130
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


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


@dataclass(frozen=True, slots=True)
class Running:
    """A load test that is on: where its loads go, what engine that is, and how far it is."""

    site: Site
    engine: str | None
    line: Line
    folder: Path


@dataclass(frozen=True, slots=True)
class Target:
    """What the options of ``target_options`` say."""

    target: str | None
    model: str | None
    load_file: Path | None
    slo: Path | None
    texts: tuple[str, ...]
    exporters: tuple[str, ...]
    out: Path | None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What must hold.  Raises ConfigError and UsageError."""
        return objectives_of(self.slo, self.texts)

    @contextlib.contextmanager
    def tested(self, name: str) -> Iterator[Running]:
        """The target, reached and watched until the test ends or is interrupted.

        Raises UsageError without a target, NotJudgedError where it cannot be reached.
        """
        folder = self.out or Path("out") / time.strftime(f"{name}-%Y%m%d-%H%M%S")
        with _interruptible(folder) as check, self._reached(folder) as (site, engine_):
            line = Line(check)
            yield Running(site, engine_, line, folder)
            line.end()

    @contextlib.contextmanager
    def _reached(self, folder: Path) -> Iterator[tuple[Site, str | None]]:
        if self.target is None:
            raise UsageError("--target is required: the server, such as http://127.0.0.1:8000")
        model = self.model
        if self.load_file:
            model = model or LoadFile.load(self.load_file).model
        url = engine.base_url(self.target)
        pages = [Exporter(text) for text in self.exporters]
        found = engine.reach(url, model)
        with observer(url, found.model, pages, folder) as watcher:
            if isinstance(watcher, Nobody):
                click.echo(f"firsttoken: {url}/metrics: not read; only clients' records", err=True)
            yield Site(url, found.model, self.load_file, watcher), found.version


def target_options(command: Callable[..., Any]) -> Any:
    """The command is given a ``Target`` as ``where``."""

    @functools.wraps(command)
    def collected(*arguments: Any, **given: Any) -> Any:
        own = {field.name: given.pop(field.name) for field in fields(Target)}
        return command(*arguments, where=Target(**own), **given)

    return _with(
        collected,
        click.option("--target", metavar="URL", help="The server.  [required]"),
        click.option("--model", help="Model to ask for; default: the one that is served."),
        click.option("--load", "load_file", type=FILE, help="Load file (YAML): the workload."),
        click.option("--slo", type=FILE, help="The objectives, a YAML file."),
        click.option("--objective", "texts", multiple=True, metavar="TEXT",
                     help="An objective such as ttft<500ms@95, besides or without --slo."),
        click.option("--gpu-exporter", "exporters", multiple=True, metavar="URL[,PROFILE]",
                     help="The page of a GPU exporter beside the server."),
        click.option("--out", type=FOLDER, help="Folder of the report and of all records."),
    )  # fmt: skip


def form_options(report: type[BaseModel]) -> Callable[[Callable[..., Any]], Any]:
    """The command is given the form to print, and runs unless the report's schema is asked for."""

    def options(command: Callable[..., Any]) -> Any:
        @functools.wraps(command)
        def unless_schema(*arguments: Any, schema: bool, **given: Any) -> Any:
            if schema:
                click.echo(schema_text(report), nl=False)
                return 0
            return command(*arguments, **given)

        return _with(
            unless_schema,
            click.option("--json", "form", flag_value="json", help="Print the report as JSON."),
            click.option("--md", "form", flag_value="md", help="Print the report as Markdown."),
            click.option("--csv", "form", flag_value="csv", help="Print the report as CSV."),
            click.option("--junit", "form", flag_value="junit", help="Print the report as JUnit."),
            click.option("--schema", is_flag=True, help="Print the JSON schema and end."),
        )

    return options


def _with(command: Callable[..., Any], *options: Callable[[Any], Any]) -> Any:
    for option in reversed(options):
        command = option(command)
    return command


def objectives_of(slo: Path | None, texts: tuple[str, ...]) -> tuple[Objective, ...]:
    """Those of the file that a client can see, and those given as texts."""
    from_file = client_objectives(slo_file.load(slo)) if slo else ()
    if slo and not from_file:
        raise UsageError(f"{slo}: none of its objectives is one that a client can see")
    return (*from_file, *map(parse_objective, texts))


@contextlib.contextmanager
def _interruptible(folder: Path) -> Iterator[Callable[[], None]]:
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
