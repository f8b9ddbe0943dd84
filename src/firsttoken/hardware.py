"""The catalogue's entries of GPUs: ``hw.*`` and ``hw.gpu.*``."""

from firsttoken import attributes as a
from firsttoken.attributes import ERROR_TYPE, GPU, HW_TYPE, SENSOR_LOCATION
from firsttoken.metric import Attribute, Instrument, Metric, Stability


def _extension(instrument: Instrument, name: str, unit: str, text: str, *more: Attribute) -> Metric:
    return Metric(f"hw.{name}", instrument, unit, text, (*GPU, *more), Stability.EXTENSION)


def _counter(name: str, unit: str, text: str, *more: Attribute) -> Metric:
    return _extension(Instrument.COUNTER, name, unit, text, *more)


def _level(name: str, unit: str, text: str, *more: Attribute) -> Metric:
    return _extension(Instrument.UPDOWNCOUNTER, name, unit, text, *more)


def _gauge(name: str, unit: str, text: str, *more: Attribute) -> Metric:
    return _extension(Instrument.GAUGE, name, unit, text, *more)


# --- Entries that rules and dashboards use --------------------------------------------------------

GPU_UTILIZATION = Metric(
    "hw.gpu.utilization",
    Instrument.GAUGE,
    "1",
    "Share of time in which the GPU was busy.",
    (*GPU, a.GPU_TASK),
)
GPU_MEMORY_USAGE = Metric(
    "hw.gpu.memory.usage", Instrument.UPDOWNCOUNTER, "By", "GPU memory in use.", GPU
)
GPU_MEMORY_LIMIT = Metric(
    "hw.gpu.memory.limit", Instrument.UPDOWNCOUNTER, "By", "GPU memory in all.", GPU
)
GPU_MEMORY_FREE = _level("gpu.memory.free", "By", "GPU memory that is free.")
POWER = Metric("hw.power", Instrument.GAUGE, "W", "Power drawn by the component.", (*GPU, HW_TYPE))
ENERGY = Metric(
    "hw.energy", Instrument.COUNTER, "J", "Energy used by the component.", (*GPU, HW_TYPE)
)
TEMPERATURE = Metric(
    "hw.temperature",
    Instrument.GAUGE,
    "Cel",
    "Temperature of the component.",
    (*GPU, HW_TYPE, SENSOR_LOCATION),
)
GPU_XID_LAST = _gauge(
    "gpu.xid.last",
    "",
    "Code of the last XID error that the NVIDIA driver reported; stays until a restart.",
)

NAMED = (
    GPU_UTILIZATION,
    GPU_MEMORY_USAGE,
    GPU_MEMORY_LIMIT,
    GPU_MEMORY_FREE,
    POWER,
    ENERGY,
    TEMPERATURE,
    GPU_XID_LAST,
)

# --- Conventions that profiles name ---------------------------------------------------------------

_CONVENTIONS = (
    Metric(
        "hw.gpu.memory.utilization",
        Instrument.GAUGE,
        "1",
        "Share of the GPU's memory that is in use.",
        GPU,
    ),
    Metric(
        "hw.gpu.io",
        Instrument.COUNTER,
        "By",
        "Bytes received and transmitted by the GPU.",
        (*GPU, a.IO_DIRECTION),
    ),
    Metric(
        "hw.errors",
        Instrument.COUNTER,
        "{error}",
        "Errors of the component.",
        (*GPU, HW_TYPE, ERROR_TYPE, a.ECC_SCOPE, a.ECC_BLOCK),
    ),
    Metric(
        "hw.status",
        Instrument.UPDOWNCOUNTER,
        "1",
        "1 for the state that the component is in, else 0.",
        (*GPU, HW_TYPE, a.HW_STATE),
    ),
    Metric(
        "hw.temperature.limit",
        Instrument.GAUGE,
        "Cel",
        "A limit of the component's temperature.",
        (*GPU, HW_TYPE, SENSOR_LOCATION, a.LIMIT_TYPE),
    ),
    Metric(
        "hw.voltage",
        Instrument.GAUGE,
        "V",
        "Voltage measured by the sensor.",
        (*GPU, HW_TYPE, SENSOR_LOCATION),
    ),
    Metric("hw.fan.speed", Instrument.GAUGE, "rpm", "Speed of a fan.", (*GPU, SENSOR_LOCATION)),
    Metric(
        "hw.fan.speed_ratio",
        Instrument.GAUGE,
        "1",
        "Speed of a fan, of its highest.",
        (*GPU, SENSOR_LOCATION),
    ),
)

# --- Extensions that profiles name ----------------------------------------------------------------

_EXTENSIONS = (
    _gauge("frequency", "Hz", "Clock of a domain.", a.FREQUENCY_DOMAIN, a.FREQUENCY_INDEX),
    _gauge(
        "frequency.limit",
        "Hz",
        "A limit of a domain's clock.",
        a.FREQUENCY_DOMAIN,
        a.FREQUENCY_INDEX,
        a.LIMIT_TYPE,
    ),
    _gauge("frequency.request", "Hz", "Clock that a domain was asked for.", a.FREQUENCY_DOMAIN),
    _gauge("power.limit", "W", "Power that the component may draw.", a.LIMIT_TYPE),
    _level("gpu.memory.reserved", "By", "GPU memory that driver and firmware keep."),
    _level(
        "gpu.memory.pool.usage", "By", "Use of memory that is not the GPU's main.", a.MEMORY_KIND
    ),
    _level("gpu.memory.pool.limit", "By", "Size of memory that is not the main.", a.MEMORY_KIND),
    _level("gpu.memory.pool.free", "By", "Free memory that is not the main.", a.MEMORY_KIND),
    _gauge("gpu.memory.bandwidth.utilization", "1", "Share of the peak memory bandwidth in use."),
    _gauge("gpu.memory.bandwidth.limit", "By/s", "Peak memory bandwidth."),
    _gauge(
        "gpu.memory.controller.utilization", "1", "Share of time with the memory controller busy."
    ),
    _counter(
        "gpu.memory.io", "By", "Bytes read from and written to memory.", a.MEMORY_IO_DIRECTION
    ),
    _gauge(
        "gpu.gr_engine.utilization",
        "1",
        "Share of time with the graphics or compute engine active.",
    ),
    _gauge(
        "gpu.engine.utilization",
        "1",
        "Share of time with an engine, or a group of them, busy.",
        a.ENGINE_TYPE,
        a.ENGINE_INDEX,
    ),
    _gauge("gpu.sm.utilization", "1", "Share of time with a warp on an SM, averaged over SMs."),
    _gauge("gpu.sm.occupancy", "1", "Resident warps, of the most that fit, averaged over SMs."),
    _gauge("gpu.pipe.utilization", "1", "Share of cycles with a pipe active.", a.PIPE),
    _gauge("gpu.process.occupancy", "1", "Share of the compute units that processes occupy."),
    _gauge("gpu.eu.ratio", "1", "Share of time of the execution units in a state.", a.EU_STATE),
    _gauge("gpu.io.rate", "By/s", "Bytes per second over the host bus.", a.IO_DIRECTION),
    _gauge("gpu.pcie.speed", "{transfer}/s", "Transfers per second of the PCIe link."),
    _counter("gpu.pcie.replays", "{replay}", "Replays on the PCIe link."),
    _counter(
        "gpu.pcie.nacks", "{nack}", "Negative acknowledgements on the PCIe link.", a.IO_DIRECTION
    ),
    _counter(
        "gpu.link.io",
        "By",
        "Bytes over links between GPUs.",
        a.LINK_TYPE,
        a.LINK_ID,
        Attribute("network.io.direction"),
    ),
    _gauge(
        "gpu.link.io.rate",
        "By/s",
        "Bytes per second over links between GPUs.",
        a.LINK_TYPE,
        a.LINK_ID,
        Attribute("network.io.direction"),
    ),
    _counter(
        "gpu.link.errors",
        "{error}",
        "Errors on links between GPUs.",
        a.LINK_TYPE,
        a.LINK_ID,
        ERROR_TYPE,
    ),
    _gauge(
        "gpu.link.status", "", "1 if the link between GPUs is up, else 0.", a.LINK_TYPE, a.LINK_ID
    ),
    _gauge("gpu.xid.errors", "{error}", "XID errors in the exporter's window.", a.XID),
    _gauge("gpu.clock_events", "{event}", "Clock events in the exporter's window.", a.CLOCK_EVENT),
    _counter("gpu.throttle.time", "s", "Time with lowered clocks.", a.THROTTLE_REASON),
    _gauge("gpu.throttle.ratio", "1", "Share of time with lowered clocks.", a.THROTTLE_REASON),
    _counter(
        "gpu.throttle.samples", "{sample}", "Samples that saw lowered clocks.", a.THROTTLE_REASON
    ),
    _counter("gpu.memory.remapped_rows", "{row}", "Rows of memory remapped.", ERROR_TYPE),
    _gauge(
        "gpu.memory.row_remap.failed", "", "1 if a row of memory could not be remapped, else 0."
    ),
    _counter("gpu.memory.retired_pages", "{page}", "Pages of memory retired.", ERROR_TYPE),
    _gauge(
        "gpu.memory.pending_retired_pages", "{page}", "Pages of memory to be retired at a restart."
    ),
    _gauge("gpu.vgpu.license.status", "", "State of the vGPU licence: 1 licensed, else 0."),
    _gauge("gpu.p2p.status", "", "State of peer-to-peer access between two GPUs."),
    _gauge("gpu.health", "", "Health as the exporter codes it."),
    Metric(
        "hw.gpu.count",
        Instrument.GAUGE,
        "{gpu}",
        "GPUs that the exporter sees.",
        (a.HW_VENDOR,),
        Stability.EXTENSION,
    ),
    _counter("gpu.resets", "{reset}", "Resets of the GPU."),
    _gauge("gpu.afid.last", "", "Code of the last AMD field identifier of an error."),
)

METRICS: tuple[Metric, ...] = (*NAMED, *_CONVENTIONS, *_EXTENSIONS)
