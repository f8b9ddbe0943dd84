"""Kinds of arguments that commands of several parts take."""

import click

from firsttoken.config import parse_duration

__all__ = ["Seconds"]


class Seconds(click.ParamType[float]):
    """A duration such as ``15s`` or ``1h30m``, or a number of seconds, in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds; fails with what is allowed."""
        try:
            return parse_duration(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
