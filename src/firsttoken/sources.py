"""Names of sources, as given on a command line, to the vocabulary of what they expose.

Rules and dashboards are built from a vocabulary and know no profile; here the two meet.
"""

from collections.abc import Sequence

from firsttoken.catalogue import METRICS
from firsttoken.errors import UsageError
from firsttoken.exporters.profile import load, vocabulary
from firsttoken.vocabulary import SEMCONV, Variant, Vocabulary

__all__ = ["COLLECTOR", "vocabulary_of"]

COLLECTOR = SEMCONV.name
"""The source that stands for the collector, whatever is behind it."""


def vocabulary_of(names: str | Sequence[str]) -> Vocabulary:
    """The vocabulary of a Prometheus that scrapes these sources directly, such as ``vllm,dcgm``.

    ``semconv`` is what the collector serves, and stands alone.  Of two sources that name an
    attribute differently the first one's label counts.  Raises UsageError for a name that is no
    profile, or no name at all.
    """
    chosen = tuple(dict.fromkeys(names.split(",") if isinstance(names, str) else names))
    if chosen == (COLLECTOR,):
        return SEMCONV
    if not chosen or COLLECTOR in chosen:
        raise UsageError(
            f"source {','.join(chosen)!r}: {COLLECTOR} (the collector) alone, or profiles such as"
            " vllm,dcgm"
        )
    variants: dict[str, tuple[Variant, ...]] = {}
    labels: dict[str, str] = {}
    for found in (vocabulary(load(name.strip())) for name in chosen):
        for metric in METRICS:
            more = found.variants.get(metric.name, ())
            variants[metric.name] = (*variants.get(metric.name, ()), *more)
        labels = {**found.labels, **labels}
    return Vocabulary("+".join(chosen), variants, labels)
