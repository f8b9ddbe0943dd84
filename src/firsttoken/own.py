"""The catalogue's entries of the collector itself: how it and each of its sources are."""

from firsttoken import attributes as a
from firsttoken.metric import Attribute, Instrument, Metric, Stability

__all__ = [
    "COLLISIONS",
    "CONFIG_LOADED",
    "METRICS",
    "OTLP_POINTS",
    "OTLP_WAITING",
    "SOURCE_AGE",
    "SOURCE_CACHED",
    "SOURCE_DROPPED",
    "SOURCE_DURATION",
    "SOURCE_ERROR_TIME",
    "SOURCE_FAILURES",
    "SOURCE_FAMILIES",
    "SOURCE_RESTARTS",
    "SOURCE_SAMPLES",
    "SOURCE_SIZE",
    "SOURCE_UP",
]


def _source(
    name: str, unit: str, text: str, *more: Attribute, instrument: Instrument = Instrument.GAUGE
) -> Metric:
    whole = f"firsttoken.collector.source.{name}"
    return Metric(whole, instrument, unit, text, (a.SOURCE, *more), Stability.EXTENSION)


def _collector(name: str, unit: str, text: str) -> Metric:
    return Metric(
        f"firsttoken.collector.{name}", Instrument.GAUGE, unit, text, (), Stability.EXTENSION
    )


SOURCE_UP = _source("up", "", "1 if the last scrape of the source was read whole, else 0.")
SOURCE_DURATION = _source("scrape.duration", "s", "How long the last scrape of the source took.")
SOURCE_SAMPLES = _source("scrape.samples", "{sample}", "Samples in the last scrape of the source.")
SOURCE_SIZE = _source("scrape.size", "By", "Size of the source's page, unpacked.")
SOURCE_AGE = _source("age", "s", "Time since the source was last read whole.")
SOURCE_FAILURES = _source(
    "failures",
    "{scrape}",
    "Scrapes of the source that failed, by reason.",
    a.ERROR_TYPE,
    instrument=Instrument.COUNTER,
)
SOURCE_ERROR_TIME = _source(
    "error.time", "s", "Unix time of the last failed scrape, by reason.", a.ERROR_TYPE
)
SOURCE_RESTARTS = _source(
    "restarts",
    "{restart}",
    "Times that the source's counters were seen to begin anew.",
    instrument=Instrument.COUNTER,
)
SOURCE_FAMILIES = _source(
    "families",
    "{family}",
    "Families of the source's page by what became of them.",
    a.FAMILY_OUTCOME,
)
SOURCE_DROPPED = _source("dropped", "{sample}", "Samples of the source's page that are not served.")
SOURCE_CACHED = _source("cache.series", "{series}", "Series of the source that are remembered.")
COLLISIONS = _collector(
    "collisions", "{family}", "Families of which sources say different things, and one is served."
)
CONFIG_LOADED = _collector(
    "config.loaded", "", "1 if the configuration was right when it was last read, else 0."
)

OTLP_POINTS = Metric(
    "firsttoken.collector.otlp.points",
    Instrument.COUNTER,
    "{point}",
    "Points that were pushed over OTLP, by what became of them.",
    (a.OTLP_OUTCOME,),
    Stability.EXTENSION,
)
OTLP_WAITING = _collector(
    "otlp.queue.length", "{scrape}", "Scrapes that wait to be pushed over OTLP."
)

METRICS: tuple[Metric, ...] = (
    SOURCE_UP,
    SOURCE_DURATION,
    SOURCE_SAMPLES,
    SOURCE_SIZE,
    SOURCE_AGE,
    SOURCE_FAILURES,
    SOURCE_ERROR_TIME,
    SOURCE_RESTARTS,
    SOURCE_FAMILIES,
    SOURCE_DROPPED,
    SOURCE_CACHED,
    COLLISIONS,
    CONFIG_LOADED,
    OTLP_POINTS,
    OTLP_WAITING,
)
