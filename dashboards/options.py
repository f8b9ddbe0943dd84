"""What the commands have in common: types of options, and which dashboards are meant."""

from typing import Any

import click

from firsttoken.arguments import Seconds
from firsttoken.dashboards import render
from firsttoken.errors import UsageError
from firsttoken.sources import COLLECTOR, vocabulary_of
from firsttoken.vocabulary import Vocabulary

__all__ = [
    "Seconds",
    "chosen",
    "names_argument",
    "prometheus_option",
    "runbooks_option",
    "source_option",
]


class _Source(click.ParamType[Vocabulary]):
    name = "name[,name]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Vocabulary:
        del param, ctx  # unused: the error says it all
        return value if isinstance(value, Vocabulary) else vocabulary_of(str(value))


names_argument = click.argument("names", nargs=-1, metavar="[UID]...")
prometheus_option = click.option(
    "--prometheus", "url", required=True, help="URL of the Prometheus to ask."
)
source_option = click.option(
    "--source",
    "vocabulary",
    type=_Source(),
    default=COLLECTOR,
    show_default=True,
    help="What Prometheus scrapes: the collector, or profiles such as vllm,dcgm.",
)
runbooks_option = click.option(
    "--runbooks", default="", help="Address of the folder of runbooks; alerts lead to their pages."
)


def chosen(
    names: tuple[str, ...], vocabulary: Vocabulary, runbooks: str = ""
) -> dict[str, dict[str, Any]]:
    """The dashboards of these uids, or all, for what Prometheus scrapes.

    Raises UsageError for a uid that is none, and for sources that cannot be drawn together.
    """
    try:
        every = render.dashboards(vocabulary, runbooks=runbooks)
    except ValueError as exc:  # one metric in different units
        raise UsageError(f"source {vocabulary.name}: {exc}") from None
    for name in names:
        if name not in every:
            raise UsageError(
                f"no dashboard {name} for source {vocabulary.name}; there are {', '.join(every)}"
            )
    return {uid: shape for uid, shape in every.items() if not names or uid in names}
