"""The catalogue's entries of model servers: ``gen_ai.server.*``."""

from firsttoken import attributes as a
from firsttoken.attributes import ERROR_TYPE, GEN_AI, TOKEN_TYPE
from firsttoken.metric import Attribute, Instrument, Metric, Stability


def _extension(instrument: Instrument, name: str, unit: str, text: str, *more: Attribute) -> Metric:
    attributes = (*GEN_AI, *more)
    return Metric(f"gen_ai.server.{name}", instrument, unit, text, attributes, Stability.EXTENSION)


def _histogram(name: str, unit: str, text: str, *more: Attribute) -> Metric:
    return _extension(Instrument.HISTOGRAM, name, unit, text, *more)


def _counter(name: str, unit: str, text: str, *more: Attribute) -> Metric:
    return _extension(Instrument.COUNTER, name, unit, text, *more)


def _level(name: str, unit: str, text: str, *more: Attribute) -> Metric:
    return _extension(Instrument.UPDOWNCOUNTER, name, unit, text, *more)


def _gauge(name: str, unit: str, text: str, *more: Attribute) -> Metric:
    return _extension(Instrument.GAUGE, name, unit, text, *more)


# --- Histograms of the GenAI conventions ----------------------------------------------------------

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

# --- Extensions that rules and dashboards use -----------------------------------------------------

INTER_TOKEN_LATENCY = _histogram(
    "inter_token_latency",
    "s",
    "Gap between successive engine outputs of a request; long answers dominate it.",
)
QUEUE_DURATION = _histogram(
    "queue.duration", "s", "Time that a request waited before the engine scheduled it."
)
PREFILL_DURATION = _histogram(
    "prefill.duration", "s", "Time from the scheduling of a request to its first output token."
)
DECODE_DURATION = _histogram(
    "decode.duration", "s", "Time from the first output token of a request to its last."
)
TOKENS_PROCESSED = _counter(
    "tokens.processed",
    "{token}",
    "Tokens processed: prompt tokens (input) and generated tokens (output).",
    TOKEN_TYPE,
)
REQUESTS_RUNNING = _level(
    "requests.running", "{request}", "Requests in the engine's running batch."
)
REQUESTS_WAITING = _level(
    "requests.waiting", "{request}", "Requests waiting to be scheduled.", a.WAIT_QUEUE
)
REQUESTS_FINISHED = _counter(
    "requests.finished",
    "{request}",
    "Requests that ended, by the reason for which they ended where the server says it.",
    a.FINISH_REASON,
    ERROR_TYPE,
)
KV_CACHE_UTILIZATION = _gauge(
    "kv_cache.utilization", "1", "Share of the KV cache that is in use.", a.CACHE_TIER
)
PREFIX_CACHE_QUERIES = _counter(
    "prefix_cache.queries",
    "{token}",
    "Prompt tokens looked up in the prefix cache.",
    a.CACHE_TIER,
)
PREFIX_CACHE_HITS = _counter(
    "prefix_cache.hits", "{token}", "Prompt tokens found in the prefix cache.", a.CACHE_TIER
)
PREEMPTIONS = _counter(
    "preemptions", "{preemption}", "Running requests that lost their KV cache to others."
)

NAMED = (
    TIME_TO_FIRST_TOKEN,
    TIME_PER_OUTPUT_TOKEN,
    REQUEST_DURATION,
    INTER_TOKEN_LATENCY,
    QUEUE_DURATION,
    PREFILL_DURATION,
    DECODE_DURATION,
    TOKENS_PROCESSED,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    REQUESTS_FINISHED,
    KV_CACHE_UTILIZATION,
    PREFIX_CACHE_QUERIES,
    PREFIX_CACHE_HITS,
    PREEMPTIONS,
)

# --- Extensions that profiles name and users query ------------------------------------------------

REQUESTS_ABORTED = _counter(
    "requests.aborted", "{request}", "Requests that their client or the server aborted."
)
KV_CACHE_LIMIT = _level("kv_cache.limit", "{token}", "Tokens that the KV cache can hold.")
ITERATION_TOKENS = _histogram("iteration.tokens", "{token}", "Tokens in one step of the engine.")
STARTUP_DURATION = _gauge(
    "engine.startup.duration", "s", "Time that the engine took to start.", a.STAGE
)

# --- What only a server's log says ---

WEIGHTS_SIZE = _level("model.weights.size", "By", "Memory that the model's weights take.")
KV_CACHE_SIZE = _level("kv_cache.size", "By", "Memory that the KV cache may take.")
CONCURRENCY_LIMIT = _gauge(
    "kv_cache.concurrency.limit",
    "{request}",
    "Requests of the greatest length for which the KV cache has room at once.",
)
COMPILE_DURATION = _gauge("engine.compile.duration", "s", "Time that compiling the model took.")
FATAL_ERRORS = _counter(
    "engine.fatal_errors", "{error}", "Errors after which the engine could not go on.", ERROR_TYPE
)
LOG_RECORDS = _counter(
    "log.records", "{record}", "Lines of the server's log by level.", a.LOG_LEVEL
)
LOG_RESPONSES = _counter(
    "log.responses",
    "{response}",
    "HTTP responses in the server's log, those to probes left out.",
    a.HTTP_STATUS,
)
LOG_CONTENT = _counter(
    "log.content_records", "{record}", "Lines of the log that hold prompts or answers."
)

_REQUESTS = (
    _histogram("inference.duration", "s", "Time in the engine: prefill and decode."),
    _histogram("validation.duration", "s", "Time to check and tokenize a request."),
    _histogram(
        "stage.duration", "s", "Time in one stage of a request's way through the server.", a.STAGE
    ),
    _histogram(
        "mean_time_per_token",
        "s",
        "Per request: inference time divided by all output tokens, prefill and first included.",
    ),
    _histogram("token.usage", "{token}", "Tokens of a request.", TOKEN_TYPE),
    _histogram("request.max_tokens", "{token}", "Output tokens that a request allowed at most."),
    _histogram("request.choices", "{choice}", "Answers that a request asked for."),
    _histogram(
        "request.prefill.tokens",
        "{token}",
        "Prompt tokens of a request that were computed, not found in a cache.",
    ),
    _histogram(
        "request.preemptions", "{preemption}", "How often a request lost its KV cache to others."
    ),
    _level("requests.swapped", "{request}", "Requests swapped out to host memory."),
    _level("requests.limit", "{request}", "Requests that the server takes at once at most."),
    _counter("requests.received", "{request}", "Requests that arrived."),
    _counter("requests.rejected", "{request}", "Requests refused before they began.", ERROR_TYPE),
    REQUESTS_ABORTED,
    _counter("requests.corrupted", "{request}", "Requests with invalid numbers in their logits."),
)

_TOKENS = (
    _counter(
        "tokens.cached",
        "{token}",
        "Prompt tokens taken from a cache rather than computed.",
        a.CACHE_SOURCE,
    ),
    _counter("tokens.recomputed", "{token}", "Cached prompt tokens computed again."),
    _gauge("token.rate", "{token}/s", "Tokens per second, averaged by the server.", TOKEN_TYPE),
    ITERATION_TOKENS,
    _histogram("iteration.duration", "s", "Time of one step of the engine.", a.STAGE),
    _histogram("batch.size", "{request}", "Requests in one batch."),
    _gauge("batch.tokens", "{token}", "Tokens in the current batch."),
    _gauge("batch.tokens.limit", "{token}", "Tokens that a batch may have at most."),
    _gauge("context.length", "{token}", "Longest context that the server has seen."),
    _counter(
        "request.time", "s", "Time of all requests together; divide by requests for the mean."
    ),
    _counter("queue.time", "s", "Queue time of all requests together."),
    _counter("prefill.time", "s", "Prefill time of all requests together."),
    _counter("decode.time", "s", "Decode time of all requests together."),
    _counter("compute.time", "s", "Time of all model executions together.", a.STAGE),
)

_CACHE = (
    _level("kv_cache.used", "{token}", "Tokens that the KV cache holds for running requests."),
    _level("kv_cache.free", "{token}", "Tokens for which the KV cache has room."),
    _level("kv_cache.evictable", "{token}", "Cached tokens that may be evicted."),
    KV_CACHE_LIMIT,
    KV_CACHE_SIZE,
    CONCURRENCY_LIMIT,
    _level("kv_cache.blocks.used", "{block}", "Blocks of the KV cache in use."),
    _level("kv_cache.blocks.free", "{block}", "Free blocks of the KV cache."),
    _level("kv_cache.blocks.limit", "{block}", "Blocks of the KV cache in all."),
    _gauge("kv_cache.block_size", "{token}", "Tokens of one block of the KV cache."),
    _histogram("kv_cache.block.lifetime", "s", "Life of a KV-cache block until its eviction."),
    _histogram("kv_cache.block.idle_time", "s", "Idle time of a KV-cache block at its eviction."),
    _histogram("kv_cache.block.reuse_gap", "s", "Time between two uses of a KV-cache block."),
    _level(
        "kv_cache.info",
        "",
        "Always 1; its attributes are the KV cache's configuration.",
        a.CACHE_BLOCK_SIZE,
        a.CACHE_BLOCKS,
        a.CACHE_TOKENS,
        a.CACHE_DTYPE,
    ),
    _gauge(
        "prefix_cache.hit_ratio",
        "1",
        "Share of prefix-cache lookups that hit, over the server's own window.",
        a.CACHE_TIER,
    ),
    _counter("multimodal_cache.queries", "{item}", "Items looked up in the multi-modal cache."),
    _counter("multimodal_cache.hits", "{item}", "Items found in the multi-modal cache."),
)

_TRANSFER = (
    _histogram(
        "kv_transfer.duration",
        "s",
        "Time of one transfer of KV-cache blocks.",
        a.KV_CONNECTOR,
        a.KV_DIRECTION,
        a.KV_OPERATION,
        a.KV_STATUS,
    ),
    _histogram(
        "kv_transfer.size", "By", "Size of one transfer of KV-cache blocks.", a.KV_CONNECTOR
    ),
    _counter(
        "kv_transfer.io",
        "By",
        "KV-cache bytes moved between engine and store.",
        a.KV_CONNECTOR,
        a.KV_DIRECTION,
        a.KV_OPERATION,
        a.KV_STATUS,
    ),
    _counter(
        "kv_transfer.time",
        "s",
        "Time of all KV-cache transfers together.",
        a.KV_CONNECTOR,
        a.KV_DIRECTION,
    ),
    _counter(
        "kv_transfer.failures", "{failure}", "KV-cache transfers that failed.",
        a.KV_CONNECTOR, a.KV_OPERATION, ERROR_TYPE,
    ),
    _histogram("kv_transfer.rate", "By/s", "Speed of one KV-cache transfer.", a.KV_CONNECTOR),
)  # fmt: skip

_ENGINE = (
    _level(
        "lora.info",
        "",
        "Always 1; its attributes are the LoRA adapters that run and wait.",
        a.LORA_RUNNING,
        a.LORA_WAITING,
        a.LORA_LIMIT,
    ),
    _level("lora.slots.used", "{slot}", "LoRA slots in use."),
    _level("lora.slots.limit", "{slot}", "LoRA slots in all."),
    _counter("speculative.drafts", "{draft}", "Drafts of speculative decoding."),
    _counter("speculative.draft_tokens", "{token}", "Tokens that drafts proposed."),
    _counter("speculative.accepted_tokens", "{token}", "Proposed tokens that were accepted."),
    _counter(
        "speculative.accepted_tokens_per_position",
        "{token}",
        "Proposed tokens that were accepted, by their place in the draft.",
        a.SPECULATIVE_POSITION,
    ),
    _counter("speculative.emitted_tokens", "{token}", "Tokens that speculative decoding gave."),
    _gauge("speculative.acceptance_ratio", "1", "Share of proposed tokens that were accepted."),
    _gauge("speculative.efficiency", "1", "Tokens given, of the most that drafts could give."),
    _gauge("speculative.accepted_length", "{token}", "Mean number of tokens accepted of a draft."),
    _level(
        "engine.sleep_state", "", "1 for the state that the engine is in, else 0.", a.SLEEP_STATE
    ),
    STARTUP_DURATION,
    COMPILE_DURATION,
    FATAL_ERRORS,
    WEIGHTS_SIZE,
    LOG_RECORDS,
    LOG_RESPONSES,
    LOG_CONTENT,
    _counter("compute.operations", "{operation}", "Estimated floating-point operations per GPU."),
    _counter(
        "memory.io", "By", "Estimated bytes of GPU memory traffic per GPU.", a.MEMORY_DIRECTION
    ),
)

METRICS: tuple[Metric, ...] = (
    *NAMED,
    *_REQUESTS,
    *_TOKENS,
    *_CACHE,
    *_TRANSFER,
    *_ENGINE,
)
