"""The catalogue as a page of documentation: ``docs/metrics.md``.

``python -m firsttoken.exporters.document`` writes the page to stdout.
"""

from collections.abc import Iterable, Iterator

from firsttoken import attributes, catalogue
from firsttoken.catalogue import METRICS, Attribute, Metric, Requirement, Stability
from firsttoken.exporters import profile
from firsttoken.exporters.table import Profile

__all__ = ["markdown"]

_HEAD = """\
# Metrics

<!-- Generated from the catalogue by `make golden`; do not edit. -->

Every metric that the collector serves under a name of its own. *Convention* names, units and
attributes are OpenTelemetry's (GenAI and hardware semantic conventions, both in development).
*Extension* names follow the conventions' style where no convention has a name; each says so in
the table and none can be mistaken for a standard one there. Which source reports which metric
under what name: `firsttoken profiles show NAME`.

An attribute's label in Prometheus is its name with `_` for each `.`. **Bold** attributes are
required by the conventions.
"""
_SECTIONS = (
    ("gen_ai.", "Model servers", attributes.GEN_AI),
    ("http.", "HTTP in front of a model server", ()),
    ("kn.", "Knative", ()),
    ("hw.", "GPUs", (*attributes.GPU, *attributes.PLACE)),
    ("firsttoken.", "The collector's own", ()),
)
_TYPES = {"updowncounter": "gauge"}


def markdown() -> str:
    """The whole page."""
    parts = [_HEAD]
    sources = _sources(profile.load_all())
    for start, title, shared in _SECTIONS:
        found = [metric for metric in METRICS if metric.name.startswith(start)]
        parts.append("\n".join(_section(title, found, shared, sources)))
    parts.append("\n".join(_buckets()))
    return "\n".join(parts)


def _sources(profiles: Iterable[Profile]) -> dict[str, list[str]]:
    """Metric -> the profiles that name it themselves."""
    found: dict[str, list[str]] = {}
    for each in profiles:
        for name in sorted({line.metric.name for line in each.lines}):
            found.setdefault(name, []).append(each.name)
    return found


def _section(
    title: str,
    metrics: list[Metric],
    shared: tuple[Attribute, ...],
    sources: dict[str, list[str]],
) -> Iterator[str]:
    yield f"## {title}\n"
    if shared:
        yield f"All of these may have: {_attributes(shared)}.\n"
    common = {attribute.name for attribute in shared}
    for stability in Stability:
        rows = [metric for metric in metrics if metric.stability is stability]
        if not rows:
            continue
        yield f"### {stability.value.capitalize()}\n"
        yield "| name | in Prometheus | type | meaning | more attributes | reported by |"
        yield "|---|---|---|---|---|---|"
        for metric in rows:
            more = tuple(a for a in metric.attributes if a.name not in common)
            kind = _TYPES.get(metric.instrument, metric.instrument)
            by = ", ".join(sources.get(metric.name, ())) or _own(metric)
            yield (
                f"| `{metric.name}` | `{metric.prometheus}` | {kind} | {metric.help} "
                f"| {_attributes(more)} | {by} |"
            )
        yield ""


def _own(metric: Metric) -> str:
    return "collector" if metric.name.startswith("firsttoken.") else "–"


def _attributes(found: tuple[Attribute, ...]) -> str:
    return ", ".join(
        f"**`{a.name}`**" if a.requirement is Requirement.REQUIRED else f"`{a.name}`" for a in found
    )


def _buckets() -> Iterator[str]:
    yield "## Advised bucket bounds\n"
    yield "The collector keeps the bounds that a source has; these are the conventions' advice.\n"
    yield "| name | bounds |"
    yield "|---|---|"
    for metric in catalogue.METRICS:
        if metric.buckets:
            bounds = ", ".join(f"{bound:g}" for bound in metric.buckets)
            yield f"| `{metric.name}` | {bounds} |"
    yield ""


if __name__ == "__main__":
    print(markdown(), end="")
