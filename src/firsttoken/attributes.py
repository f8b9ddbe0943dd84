"""The attributes of the catalogue's metrics.

Names and requirement levels of ``gen_ai.*``, ``hw.*``, ``server.*``, ``error.*``, ``network.*``,
``k8s.*`` and ``host.*`` are OpenTelemetry's, save those that ``EXTENSIONS`` lists: no convention
has a name for them.
"""

from firsttoken.metric import Attribute, Requirement

_REQUIRED, _CONDITIONAL = Requirement.REQUIRED, Requirement.CONDITIONALLY_REQUIRED

# --- Model servers --------------------------------------------------------------------------------

OPERATION = Attribute("gen_ai.operation.name", _REQUIRED, ("chat", "text_completion", "embeddings"))
PROVIDER = Attribute(
    "gen_ai.provider.name",
    _REQUIRED,
    ("vllm", "sglang", "tgi", "triton", "tensorrt_llm", "llama_cpp", "lmdeploy", "nim"),
)
REQUEST_MODEL = Attribute("gen_ai.request.model", _CONDITIONAL)
RESPONSE_MODEL = Attribute("gen_ai.response.model")
SERVER_ADDRESS = Attribute("server.address")
SERVER_PORT = Attribute("server.port", _CONDITIONAL)
ERROR_TYPE = Attribute("error.type", _CONDITIONAL)
TOKEN_TYPE = Attribute("gen_ai.token.type", _REQUIRED, ("input", "output"))
FINISH_REASON = Attribute(
    "gen_ai.response.finish_reason",
    _CONDITIONAL,
    ("stop", "length", "repetition", "abort", "error"),
)
ENGINE = Attribute("gen_ai.server.engine.id")
GEN_AI = (
    OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT, ENGINE,
)  # fmt: skip

CACHE_TIER = Attribute("gen_ai.server.cache.tier", values=("device", "host", "external"))
CACHE_SOURCE = Attribute("gen_ai.server.cache.source")
WAIT_REASON = Attribute("gen_ai.server.wait.reason", values=("capacity", "deferred"))
WAIT_QUEUE = Attribute("gen_ai.server.queue.name")
SLEEP_STATE = Attribute("gen_ai.server.sleep.state", _REQUIRED)
STAGE = Attribute("gen_ai.server.stage", _REQUIRED)
SPECULATIVE_POSITION = Attribute("gen_ai.server.speculative.position", _REQUIRED)
KV_CONNECTOR = Attribute("gen_ai.server.kv_transfer.connector", _REQUIRED)
KV_DIRECTION = Attribute("gen_ai.server.kv_transfer.direction", values=("load", "store"))
KV_OPERATION = Attribute("gen_ai.server.kv_transfer.operation")
KV_STATUS = Attribute("gen_ai.server.kv_transfer.status")
MEMORY_DIRECTION = Attribute("gen_ai.server.memory.direction", _REQUIRED, ("read", "write"))
LORA_RUNNING = Attribute("gen_ai.server.lora.running")
LORA_WAITING = Attribute("gen_ai.server.lora.waiting")
LORA_LIMIT = Attribute("gen_ai.server.lora.limit")
CACHE_BLOCK_SIZE = Attribute("gen_ai.server.kv_cache.block_size")
CACHE_BLOCKS = Attribute("gen_ai.server.kv_cache.blocks")
CACHE_TOKENS = Attribute("gen_ai.server.kv_cache.tokens")
LOG_LEVEL = Attribute("gen_ai.server.log.level", _REQUIRED)
CACHE_DTYPE = Attribute("gen_ai.server.kv_cache.dtype")

# --- HTTP in front of a model server --------------------------------------------------------------

HTTP_METHOD = Attribute("http.request.method")
HTTP_ROUTE = Attribute("http.route")
HTTP_STATUS = Attribute("http.response.status_code")
HTTP_STATUS_CLASS = Attribute(
    "http.response.status_class", values=("1xx", "2xx", "3xx", "4xx", "5xx")
)

KNATIVE = (
    Attribute("kn.service.name"),
    Attribute("kn.configuration.name"),
    Attribute("kn.revision.name"),
    Attribute("kn.route.tag"),
)

# --- Hardware -------------------------------------------------------------------------------------

HW_ID = Attribute("hw.id", _REQUIRED)
HW_TYPE = Attribute("hw.type", _REQUIRED, ("gpu",))
HW_NAME = Attribute("hw.name")
HW_PARENT = Attribute("hw.parent")
HW_MODEL = Attribute("hw.model")
HW_VENDOR = Attribute("hw.vendor")
HW_SERIAL = Attribute("hw.serial_number")
HW_DRIVER = Attribute("hw.driver_version")
HW_FIRMWARE = Attribute("hw.firmware_version")
HW = (HW_ID, HW_NAME, HW_PARENT)
GPU = (*HW, HW_MODEL, HW_VENDOR, HW_SERIAL, HW_DRIVER, HW_FIRMWARE)

GPU_TASK = Attribute("hw.gpu.task", values=("compute", "decoder", "encoder", "general"))
SENSOR_LOCATION = Attribute("hw.sensor_location")
LIMIT_TYPE = Attribute(
    "hw.limit_type", values=("min", "max", "throttled", "critical", "high.critical")
)
HW_STATE = Attribute("hw.state", _REQUIRED, ("ok", "degraded", "failed", "predicted_failure"))
IO_DIRECTION = Attribute("network.io.direction", _REQUIRED, ("receive", "transmit"))

FREQUENCY_DOMAIN = Attribute("hw.frequency.domain", _REQUIRED)
FREQUENCY_INDEX = Attribute("hw.frequency.index")
PIPE = Attribute("hw.gpu.pipe", _REQUIRED, ("tensor", "fp64", "fp32", "fp16"))
LINK_TYPE = Attribute("hw.gpu.link.type", _REQUIRED, ("nvlink", "xgmi", "xelink"))
LINK_ID = Attribute("hw.gpu.link.id")
THROTTLE_REASON = Attribute("hw.gpu.throttle.reason", _REQUIRED)
CLOCK_EVENT = Attribute("hw.gpu.clock_event", _REQUIRED)
ECC_SCOPE = Attribute("hw.gpu.ecc.scope", values=("volatile", "aggregate"))
ECC_BLOCK = Attribute("hw.gpu.ecc.block")
XID = Attribute("hw.gpu.xid.code")
MEMORY_KIND = Attribute("hw.gpu.memory.kind", values=("vram", "visible_vram", "gtt"))
ENGINE_TYPE = Attribute("hw.gpu.engine.type", _REQUIRED)
ENGINE_INDEX = Attribute("hw.gpu.engine.id")
EU_STATE = Attribute("hw.gpu.eu.state", _REQUIRED, ("active", "stall", "idle"))
MEMORY_IO_DIRECTION = Attribute("hw.gpu.memory.direction", _REQUIRED, ("read", "write"))

# --- What a hardware series may carry besides: where the device is and which pod has it -----------

NAMESPACE_NAME = Attribute("k8s.namespace.name")
POD_NAME = Attribute("k8s.pod.name")
CONTAINER_NAME = Attribute("k8s.container.name")
PLACE = (
    Attribute("hw.gpu.index"),
    Attribute("hw.gpu.mig.profile"),
    Attribute("hw.gpu.mig.instance"),
    Attribute("hw.gpu.partition.id"),
    Attribute("hw.gpu.partition.compute"),
    Attribute("hw.gpu.partition.memory"),
    Attribute("hw.gpu.tile"),
    Attribute("hw.pci.bus_id"),
    Attribute("host.name"),
    Attribute("k8s.cluster.name"),
    Attribute("k8s.node.name"),
    NAMESPACE_NAME,
    POD_NAME,
    Attribute("k8s.pod.uid"),
    CONTAINER_NAME,
)

SOURCE = Attribute("firsttoken.source", _REQUIRED)
OTLP_OUTCOME = Attribute(
    "firsttoken.collector.otlp.outcome", _REQUIRED, ("sent", "dropped", "rejected", "left_out")
)
FAMILY_OUTCOME = Attribute(
    "firsttoken.outcome", _REQUIRED, ("renamed", "passed", "superseded", "dropped")
)

EXTENSIONS = frozenset(
    {"gen_ai.server.", "hw.gpu.", "hw.frequency.", "hw.pci.", "kn.", "firsttoken."}
)
"""The first words of attributes that no convention has."""
_STANDARD = frozenset({GPU_TASK.name})


def is_extension(attribute: Attribute) -> bool:
    """Whether no convention has the attribute's name."""
    return attribute.name not in _STANDARD and attribute.name.startswith(tuple(EXTENSIONS))
