"""``python -m benchmarks.collector [pages] [growth] [process] [churn] [load]``: the collector.

What it costs to merge and rename a page, beside prometheus_client reading and writing the same
page in the same run, and beside the floor: every byte looked at once and copied once.  Then the
whole process over HTTP: its CPU time, its memory, and how it answers many clients.

Times are of the CPU, since a machine that does other things besides distorts all others.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector as Registered

from benchmarks.pages import PAGES, Source, gauges
from benchmarks.process import churn, load, process
from firsttoken.collector.form import OPENMETRICS, TEXT, Form
from firsttoken.collector.merge import Part, merge, shared_names
from firsttoken.collector.page import Reading
from firsttoken.collector.plan import Plan, plan
from firsttoken.collector.reader import Reader
from firsttoken.collector.serving import settle
from firsttoken.collector.translate import Translator
from firsttoken.exporters.profile import load as load_profile

__all__ = ["main"]

_SECONDS = 1.0
"""For how long each thing is repeated; the least of all times counts."""


def least(work: Callable[[], object]) -> float:
    """The least CPU time of a call, in seconds."""
    best = float("inf")
    until = time.perf_counter() + _SECONDS
    while time.perf_counter() < until or best == float("inf"):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


class Merged:
    """The collector's work on some pages, without HTTP and without its own metrics."""

    def __init__(self, sources: Sequence[Source], form: Form) -> None:
        self._readers = [Reader() for _ in sources]
        self._plan = self._first(sources, form)
        self._versions = cycle(zip(*(source.versions for source in sources), strict=True))

    def _first(self, sources: Sequence[Source], form: Form) -> Plan:
        parts, offered, offset = [], {}, 0
        readings = self._read([source.versions[0] for source in sources])
        for place, (source, reading) in enumerate(zip(sources, readings, strict=True)):
            profile = load_profile(source.profile) if source.profile else None
            offers = Translator(profile).contribution(reading.shape).offers
            parts.append(Part(f"s{place}", offset, offers))
            offered[f"s{place}"] = [offer.name for offer in offers]
            offset += reading.shape.size
        found = plan(merge(parts, shared_names(offered)), form, offset)
        found.write(readings)
        return found

    def _read(self, pages: Sequence[bytes]) -> list[Reading]:
        return [reader.read(page) for reader, page in zip(self._readers, pages, strict=True)]

    def again(self) -> bytes:
        """One page more, with other numbers."""
        return self._plan.write(self._read(next(self._versions)))


class _Read(Registered):
    def __init__(self, pages: Sequence[str]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        """The families of all pages, each name once."""
        seen: dict[str, Metric] = {}
        for page in self._pages:
            for family in text_string_to_metric_families(page):
                known = seen.setdefault(family.name, family)
                if known is not family:
                    known.samples += family.samples
        yield from seen.values()


def client(sources: Sequence[Source]) -> Callable[[], bytes]:
    """What prometheus_client does to the same end: read the pages, and write one of them."""
    texts = [source.versions[0].decode() for source in sources]

    def work() -> bytes:
        registry = CollectorRegistry()
        registry._collector_to_names[_Read(texts)] = []  # as registered, without a first reading
        return generate_latest(registry)

    return work


def floor(sources: Sequence[Source]) -> Callable[[], object]:
    """Every byte looked at once, and copied once."""
    body = b"".join(source.versions[0] for source in sources)
    return lambda: (body.count(b"\n"), bytes(bytearray(body)))


def of_pages() -> None:
    """Each page: first scrape, every other one, and what they are measured by."""
    print("microseconds a sample            first   again  (as OpenMetrics)   times the client's")
    for name, sources in PAGES.items():
        count = sum(source.samples for source in sources)
        unit = 1e6 / count
        peer = least(client(sources))
        bottom = least(floor(sources))
        text, full = Merged(sources, TEXT), Merged(sources, OPENMETRICS)
        first = least(lambda sources=sources: Merged(sources, OPENMETRICS))  # type: ignore[misc]
        again, strict = least(text.again), least(full.again)
        print(
            f"{name:16}{count:6} samples {first * unit:9.2f} {again * unit:7.3f}"
            f"  {strict * unit:7.3f}           {peer / again:6.1f}  {peer / strict:6.1f}"
            f"   (client {peer * unit:.2f}, floor {bottom * unit:.4f})"
        )


def of_growth() -> None:
    """Whether twice the samples cost twice the time."""
    print("growth: microseconds a sample     first   again")
    for count in (1_000, 2_000, 5_000, 10_000, 20_000, 50_000):
        sources = (Source(None, (gauges(count),)),)
        first = least(lambda sources=sources: Merged(sources, OPENMETRICS))  # type: ignore[misc]
        again = least(Merged(sources, OPENMETRICS).again)
        print(f"{count:22} samples {first * 1e6 / count:9.2f} {again * 1e6 / count:7.3f}")


PARTS: dict[str, Callable[[], None]] = {
    "pages": of_pages,
    "growth": of_growth,
    "process": process,
    "churn": churn,
    "load": load,
}


def main(chosen: Sequence[str] = ()) -> None:
    """Run the chosen parts, or all of them."""
    settle()  # as the collector's own process does
    for name in chosen or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
