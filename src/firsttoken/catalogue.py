"""Every metric that firsttoken serves, records or draws, declared once.

Names, units, attributes and bucket advice of ``convention`` entries are those of OpenTelemetry's
GenAI conventions (gen-ai-dev/1.42.0-dev) and hardware conventions (v1.44.0), both in development.
``extension`` entries follow the conventions' style where no convention has a name.
Everything else (Prometheus names, documentation, rules, dashboards) derives from these entries, so
that a name that a convention changes is one changed line here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from firsttoken.naming import dotted_name, label_name, prometheus_name

__all__ = ["METRICS", "Attribute", "Instrument", "Metric", "Requirement", "Stability", "find"]


class Instrument(StrEnum):
    """The OpenTelemetry instrument of a metric."""

    COUNTER = "counter"
    UPDOWNCOUNTER = "updowncounter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"

    @property
    def prometheus_type(self) -> str:
        """The metric type in Prometheus' text formats."""
        return "gauge" if self is Instrument.UPDOWNCOUNTER else self.value


class Stability(StrEnum):
    """Where a name comes from."""

    CONVENTION = "convention"
    EXTENSION = "extension"


class Requirement(StrEnum):
    """How strongly the conventions ask for an attribute."""

    REQUIRED = "required"
    CONDITIONALLY_REQUIRED = "conditionally_required"
    RECOMMENDED = "recommended"
    OPT_IN = "opt_in"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a metric; ``values`` are the well-known ones, others are allowed."""

    name: str
    requirement: Requirement = Requirement.RECOMMENDED
    values: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The Prometheus label name."""
        return label_name(self.name)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; ``unit`` is UCUM, ``buckets`` the advised upper bounds in that unit."""

    name: str
    instrument: Instrument
    unit: str
    help: str
    attributes: tuple[Attribute, ...]
    stability: Stability = Stability.CONVENTION
    buckets: tuple[float, ...] = ()
    prometheus: str = field(init=False)
    """The name in Prometheus' classic character set: of the family, which for a counter ends in
    ``_total``."""
    dotted: str = field(init=False)
    """The same name with dots, for clients that take UTF-8 names."""

    def __post_init__(self) -> None:
        counter = self.instrument is Instrument.COUNTER
        gauge = self.instrument is Instrument.GAUGE
        for attribute, derive in (("prometheus", prometheus_name), ("dotted", dotted_name)):
            derived = derive(self.name, self.unit, counter=counter, gauge=gauge)
            object.__setattr__(self, attribute, derived)


# --- Attributes -----------------------------------------------------------------------------------

_REQUIRED, _CONDITIONAL = Requirement.REQUIRED, Requirement.CONDITIONALLY_REQUIRED

OPERATION = Attribute("gen_ai.operation.name", _REQUIRED, ("chat", "text_completion", "embeddings"))
PROVIDER = Attribute("gen_ai.provider.name", _REQUIRED, ("vllm", "sglang", "tgi", "triton"))
REQUEST_MODEL = Attribute("gen_ai.request.model", _CONDITIONAL)
RESPONSE_MODEL = Attribute("gen_ai.response.model")
SERVER_ADDRESS = Attribute("server.address")
SERVER_PORT = Attribute("server.port", _CONDITIONAL)
ERROR_TYPE = Attribute("error.type", _CONDITIONAL)
TOKEN_TYPE = Attribute("gen_ai.token.type", _REQUIRED, ("input", "output"))
FINISH_REASON = Attribute(
    "gen_ai.response.finish_reason", _REQUIRED, ("stop", "length", "abort", "error")
)
ENGINE = Attribute("gen_ai.server.engine.id")
GEN_AI = (
    OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT, ENGINE,
)  # fmt: skip

HW_ID = Attribute("hw.id", _REQUIRED)
HW_TYPE = Attribute("hw.type", _REQUIRED, ("gpu",))
HW_NAME = Attribute("hw.name")
HW_PARENT = Attribute("hw.parent")
HW_MODEL = Attribute("hw.model")
HW_VENDOR = Attribute("hw.vendor")
HW_SERIAL = Attribute("hw.serial_number")
HW_DRIVER = Attribute("hw.driver_version")
HW = (HW_ID, HW_NAME, HW_PARENT)
GPU = (*HW, HW_MODEL, HW_VENDOR, HW_SERIAL, HW_DRIVER)

SOURCE = Attribute("firsttoken.source", _REQUIRED)

# --- Latency: histograms of the GenAI conventions -------------------------------------------------

TIME_TO_FIRST_TOKEN = Metric(
    "gen_ai.server.time_to_first_token",
    Instrument.HISTOGRAM,
    "s",
    "Time from the arrival of a request to its first output token.",
    GEN_AI,
    buckets=(
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    ),
)  # fmt: skip
TIME_PER_OUTPUT_TOKEN = Metric(
    "gen_ai.server.time_per_output_token",
    Instrument.HISTOGRAM,
    "s",
    "Per request: time after the first token divided by the output tokens after the first.",
    GEN_AI,
    buckets=(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5),
)
REQUEST_DURATION = Metric(
    "gen_ai.server.request.duration",
    Instrument.HISTOGRAM,
    "s",
    "Time from the arrival of a request to the end of its response.",
    (*GEN_AI, ERROR_TYPE),
    buckets=tuple(0.01 * 2**n for n in range(14)),
)

# --- Latency, tokens, queue and cache: extensions -------------------------------------------------


def _extension(
    name: str, instrument: Instrument, unit: str, text: str, attributes: tuple[Attribute, ...]
) -> Metric:
    return Metric(name, instrument, unit, text, attributes, Stability.EXTENSION)


INTER_TOKEN_LATENCY = _extension(
    "gen_ai.server.inter_token_latency",
    Instrument.HISTOGRAM,
    "s",
    "Gap between successive engine outputs of a request; long answers dominate it.",
    GEN_AI,
)
QUEUE_DURATION = _extension(
    "gen_ai.server.queue.duration",
    Instrument.HISTOGRAM,
    "s",
    "Time that a request waited before the engine scheduled it.",
    GEN_AI,
)
PREFILL_DURATION = _extension(
    "gen_ai.server.prefill.duration",
    Instrument.HISTOGRAM,
    "s",
    "Time from the scheduling of a request to its first output token.",
    GEN_AI,
)
DECODE_DURATION = _extension(
    "gen_ai.server.decode.duration",
    Instrument.HISTOGRAM,
    "s",
    "Time from the first output token of a request to its last.",
    GEN_AI,
)
TOKENS_PROCESSED = _extension(
    "gen_ai.server.tokens.processed",
    Instrument.COUNTER,
    "{token}",
    "Tokens processed: prompt tokens (input) and generated tokens (output).",
    (*GEN_AI, TOKEN_TYPE),
)
REQUESTS_RUNNING = _extension(
    "gen_ai.server.requests.running",
    Instrument.UPDOWNCOUNTER,
    "{request}",
    "Requests in the engine's running batch.",
    GEN_AI,
)
REQUESTS_WAITING = _extension(
    "gen_ai.server.requests.waiting",
    Instrument.UPDOWNCOUNTER,
    "{request}",
    "Requests waiting to be scheduled.",
    GEN_AI,
)
REQUESTS_FINISHED = _extension(
    "gen_ai.server.requests.finished",
    Instrument.COUNTER,
    "{request}",
    "Requests that ended, by the reason for which they ended.",
    (*GEN_AI, FINISH_REASON),
)
KV_CACHE_UTILIZATION = _extension(
    "gen_ai.server.kv_cache.utilization",
    Instrument.GAUGE,
    "1",
    "Share of the KV cache that is in use.",
    GEN_AI,
)
PREFIX_CACHE_QUERIES = _extension(
    "gen_ai.server.prefix_cache.queries",
    Instrument.COUNTER,
    "{token}",
    "Prompt tokens looked up in the prefix cache.",
    GEN_AI,
)
PREFIX_CACHE_HITS = _extension(
    "gen_ai.server.prefix_cache.hits",
    Instrument.COUNTER,
    "{token}",
    "Prompt tokens found in the prefix cache.",
    GEN_AI,
)
PREEMPTIONS = _extension(
    "gen_ai.server.preemptions",
    Instrument.COUNTER,
    "{preemption}",
    "Running requests that lost their KV cache to others.",
    GEN_AI,
)

# --- Hardware -------------------------------------------------------------------------------------

GPU_UTILIZATION = Metric(
    "hw.gpu.utilization",
    Instrument.GAUGE,
    "1",
    "Share of time in which the GPU was busy.",
    (*GPU, Attribute("hw.gpu.task", values=("decoder", "encoder", "general"))),
)
GPU_MEMORY_USAGE = Metric(
    "hw.gpu.memory.usage",
    Instrument.UPDOWNCOUNTER,
    "By",
    "GPU memory in use.",
    GPU,
)
GPU_MEMORY_LIMIT = Metric(
    "hw.gpu.memory.limit",
    Instrument.UPDOWNCOUNTER,
    "By",
    "GPU memory in all.",
    GPU,
)
GPU_MEMORY_FREE = _extension(
    "hw.gpu.memory.free", Instrument.UPDOWNCOUNTER, "By", "GPU memory that is free.", GPU
)
POWER = Metric("hw.power", Instrument.GAUGE, "W", "Power drawn by the component.", (*GPU, HW_TYPE))
ENERGY = Metric(
    "hw.energy",
    Instrument.COUNTER,
    "J",
    "Energy used by the component.",
    (*GPU, HW_TYPE),
)
TEMPERATURE = Metric(
    "hw.temperature",
    Instrument.GAUGE,
    "Cel",
    "Temperature of the component.",
    (*GPU, HW_TYPE, Attribute("hw.sensor_location")),
)
GPU_XID_LAST = _extension(
    "hw.gpu.xid.last",
    Instrument.GAUGE,
    "",
    "Code of the last XID error that the NVIDIA driver reported; stays until a restart.",
    GPU,
)

# --- The collector's own --------------------------------------------------------------------------

SOURCE_UP = _extension(
    "firsttoken.collector.source.up",
    Instrument.GAUGE,
    "",
    "1 if the last scrape of the source was read whole, else 0.",
    (SOURCE,),
)
SOURCE_DURATION = _extension(
    "firsttoken.collector.source.scrape.duration",
    Instrument.GAUGE,
    "s",
    "How long the last scrape of the source took.",
    (SOURCE,),
)
SOURCE_SAMPLES = _extension(
    "firsttoken.collector.source.scrape.samples",
    Instrument.GAUGE,
    "{sample}",
    "Samples in the last scrape of the source.",
    (SOURCE,),
)


def _declared() -> Iterator[Metric]:
    for value in list(globals().values()):
        if isinstance(value, Metric):
            yield value


METRICS: tuple[Metric, ...] = tuple(_declared())
"""All entries in the order of their declaration."""

_BY_NAME = {metric.name: metric for metric in METRICS}


def find(name: str) -> Metric | None:
    """The entry of a semantic-convention name, or None."""
    return _BY_NAME.get(name)
