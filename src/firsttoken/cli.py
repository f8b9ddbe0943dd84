"""The ``firsttoken`` command: one sub-command a part, each imported when it is chosen."""

import importlib
import logging
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import click

from firsttoken.errors import FirstTokenError, UsageError

__all__ = ["firsttoken", "main"]

# Sub-command -> where it is defined.  Importing only the chosen one keeps the sidecar small.
COMMANDS = {
    "alertmanager": "firsttoken.rules.commands:alertmanager",
    "collect": "firsttoken.collector.commands:collect",
    "dashboards": "firsttoken.dashboards.commands:dashboards",
    "doctor": "firsttoken.manifests.cluster_commands:doctor",
    "gpu": "firsttoken.exporters.gpu:gpu",
    "load": "firsttoken.loadgen.commands:load",
    "logs": "firsttoken.logs.commands:logs",
    "manifests": "firsttoken.manifests.commands:manifests",
    "profiles": "firsttoken.exporters.commands:profiles",
    "rules": "firsttoken.rules.commands:rules",
    "slo": "firsttoken.rules.commands:slo",
    "simulate": "firsttoken.simulate.commands:simulate",
    "trace": "firsttoken.traces.commands:trace",
    "validate": "firsttoken.validate.commands:validate",
}
# Group -> its sub-commands from elsewhere: another part, or one that needs the group's own module.
MEMBERS = {
    "load": {
        "capacity": "firsttoken.loadtest.commands:capacity",
        "compare": "firsttoken.loadtest.commands:compare",
        "init": "firsttoken.loadgen.workload_commands:init",
        "merge": "firsttoken.loadgen.workload_commands:merge_shards",
        "report": "firsttoken.report.commands:report",
        "sweep": "firsttoken.loadtest.commands:sweep",
    },
}
# Command -> the extra with what it imports beyond firsttoken's own requirements.
EXTRAS = {
    "alertmanager": "rules",
    "capacity": "loadtest",
    "collect": "collector",
    "compare": "loadtest",
    "dashboards": "dashboards",
    "doctor": "kubernetes",
    "gpu": "gpu",
    "init": "loadgen",
    "load": "loadgen",
    "logs": "collector",
    "manifests": "kubernetes",
    "merge": "loadgen",
    "profiles": "profiles",
    "report": "loadgen",
    "rules": "rules",
    "simulate": "simulate",
    "slo": "rules",
    "sweep": "loadtest",
    "trace": "otlp",
    "validate": "validate",
}
# Group -> the sub-command that is meant by options without one.
DEFAULTS = {"load": "run"}


class NotInstalled(click.Command):
    """Stands for a command that lacks a package: it is listed, but does nothing else."""

    def __init__(self, name: str, missing: ImportError) -> None:
        self._told = _needs(name, missing)
        super().__init__(name, short_help=f"(needs {_extra(name)})")

    def make_context(self, *_: Any, **__: Any) -> click.Context:
        raise UsageError(self._told)


def _extra(name: str) -> str:
    return f"firsttoken[{EXTRAS.get(name, 'all')}]"


def _needs(name: str, missing: ImportError) -> str:
    return f"{name} needs {missing.name}: pip install '{_extra(name)}'"


def _is_ours(missing: ImportError) -> bool:
    """Whether what cannot be imported is a part of this package, which is a bug."""
    return missing.name is None or missing.name.partition(".")[0] == "firsttoken"


class LazyGroup(click.Group):
    """A group that imports a sub-command only when it is run or listed."""

    def __init__(
        self, *arguments: Any, lazy: Mapping[str, str], default: str | None = None, **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self._lazy, self._default = lazy, default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        option = bool(args) and args[0].startswith("-") and args[0] not in ctx.help_option_names
        if self._default and option:
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._lazy[cmd_name].partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        except ImportError as exc:
            if _is_ours(exc):
                raise
            return NotInstalled(cmd_name, exc)
        if isinstance(command, click.Group) and cmd_name in MEMBERS:
            return LazyGroup(
                command.name, command.commands, lazy=MEMBERS[cmd_name], help=command.help,
                epilog=command.epilog, default=DEFAULTS.get(cmd_name),
            )  # fmt: skip
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ImportError as exc:  # of a package that is imported only where it is needed
            if _is_ours(exc):
                raise
            raise UsageError(_needs(ctx.invoked_subcommand or "", exc)) from None


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  firsttoken simulate --listen 127.0.0.1:8000
  firsttoken validate --target http://127.0.0.1:8000 --slo slo.yaml --out out
  firsttoken rules generate slo.yaml

\b
Exit codes: 0 done, and every check passed; 1 an objective missed or a check failed;
2 a wrong argument or file; 3 could not be judged; 130 interrupted.

\b
Shell completion (bash_source, zsh_source or fish_source):
  eval "$(_FIRSTTOKEN_COMPLETE=bash_source firsttoken)"
""",
)
@click.version_option(metadata.version("firsttoken"), prog_name="firsttoken")
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice: debug messages.")
def firsttoken(verbose: int) -> None:
    """Observability and service-level objectives for LLM serving."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process with its exit code."""
    try:
        code = firsttoken.main(args=arguments, standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("firsttoken: interrupted", err=True)
        sys.exit(130)
    except FirstTokenError as exc:
        for line in str(exc).splitlines():
            click.echo(f"firsttoken: {line}", err=True)
        sys.exit(exc.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
