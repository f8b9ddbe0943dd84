"""Where a tracing backend shows the trace of a request."""

import click

__all__ = ["HELP", "TraceUrl", "link"]

PLACE = "{trace_id}"
HELP = (
    "Where a trace is shown, such as http://jaeger:16686/trace/{trace_id}: the slowest requests"
    " link there."
)


class TraceUrl(click.ParamType[str]):
    """An address with ``{trace_id}`` in it, in which other braces mean nothing."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.startswith(("http://", "https://")) or PLACE not in value:
            self.fail(
                f"{value!r}: expected an http address with {PLACE} in it, such as"
                f" http://jaeger:16686/trace/{PLACE}",
                param,
                ctx,
            )
        return value


def link(template: str | None, trace_id: str | None) -> str | None:
    """The address of a trace; None without a template or a trace."""
    return template.replace(PLACE, trace_id) if template and trace_id else None
