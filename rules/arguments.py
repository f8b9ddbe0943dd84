"""What the options of the commands hold: durations, versions of Prometheus, pairs."""

import re
from collections.abc import Iterable

import click

from firsttoken.config import parse_duration
from firsttoken.errors import UsageError
from firsttoken.rules.bounds import Version, version_of

__all__ = ["Seconds", "TargetVersion", "pairs"]

_OLDEST = (2, 42)


class Seconds(click.ParamType[int]):
    """A duration of whole seconds, such as ``30s`` or ``15d``."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Seconds; fails with a sentence."""
        try:
            seconds = parse_duration(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        if seconds < 1 or seconds != int(seconds):
            self.fail("expected whole seconds, 1s or more", param, ctx)
        return int(seconds)


class TargetVersion(click.ParamType[Version]):
    """A version of Prometheus, 2.42 or later."""

    name = "version"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Version:
        """The version as numbers; fails with a sentence."""
        if isinstance(value, tuple):
            return value
        text = str(value).removeprefix("v")
        if not re.fullmatch(r"[0-9]+([.][0-9]+){0,2}", text):
            self.fail(f"expected a version of Prometheus such as 2.53 or 3.0, not {value}",
                      param, ctx)  # fmt: skip
        version = version_of(text)
        if version < _OLDEST:
            self.fail(f"Prometheus {text} is older than 2.42, the oldest that the rules are for",
                      param, ctx)  # fmt: skip
        return version


def pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """``KEY=VALUE`` arguments; raises UsageError."""
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{option} {text}: expected KEY=VALUE")
        found[key] = value
    return found
