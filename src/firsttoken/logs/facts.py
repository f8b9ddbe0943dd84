"""What lines of vLLM's log say that no metric does: one pattern each, of old versions too.

``seconds``, ``gib``, ``tokens`` and the like are groups of a pattern; who reads them is ``story``.
"""
# ruff: noqa: E501 - one pattern a line is what can be read here

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["FACTS", "Fact", "Kind", "match"]

Kind = Literal[
    "server", "engine", "arguments", "phase", "kv_cache", "ready", "received", "aborted", "failed",
    "fatal", "shutdown", "http", "content",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """A pattern of messages; ``name`` is the phase, or the type of the error, where it is one."""

    kind: Kind
    pattern: re.Pattern[str]
    hint: str
    """A part of every such message, so that most lines are passed over quickly."""
    name: str = ""


def _fact(kind: Kind, hint: str, pattern: str, name: str = "") -> Fact:
    return Fact(kind, re.compile(pattern, re.DOTALL), hint, name)


_S = r"(?P<seconds>[\d.]+) ?s(?:ec(?:ond)?s?)?\b"
_GIB = r"(?P<gib>[\d.]+) ?Gi?B"

FACTS: tuple[Fact, ...] = (
    _fact("server", "erver version", r"vLLM (?:API )?server version (?P<version>[\w.+-]+)(?:, serving model (?P<model>\S+))?"),
    _fact("server", "  version ", r".*▄.* version (?P<version>[\w.+-]+)\s*$"),
    _fact("engine", "nitializing a", r"Initializing an? (?:V\d )?LLM engine \(v(?P<version>[^)]+)\) with config:.*?model='(?P<model>[^']*)'"),
    _fact("arguments", "default args: ", r"non-default args: (?P<arguments>\{.*)"),
    _fact("arguments", "args: Namespace", r"args: (?P<arguments>Namespace\(.*)"),
    # --- Phases of a start ---
    _fact("phase", "downloading weights", rf"Time spent downloading weights for .+: {_S}", "download"),
    _fact("phase", "nitializing model took", rf"Initializing model took {_S}", "initialize_model"),
    _fact("phase", "oading weights took", rf"Loading weights took {_S}", "load_weights"),
    _fact("phase", "oading took", rf"Model loading took {_GIB}(?: memory)? and {_S}", "load_model"),
    _fact("phase", "oading model weights took", rf"Loading model weights took {_GIB}", "load_model"),
    _fact("phase", "bytecode transform", rf"(?:\[.*?\] )?Dynamo bytecode transform time: {_S}", "dynamo"),
    _fact("phase", "ompiling a graph", rf"(?:\[.*?\] )?Compiling a graph for .* takes {_S}", "compile_graph"),
    _fact("phase", "torch.compile t", rf"(?:\[.*?\] )?torch\.compile (?:takes|took) {_S} in total", "compile"),
    _fact("phase", "warmup run took", rf"(?:\[.*?\] )?Initial profiling/warmup run took {_S}", "profile"),
    _fact("phase", "profiling takes", rf"Memory profiling takes {_S}", "profile"),
    _fact("phase", "capturing finished", rf"Graph capturing finished in {_S}(?:, took {_GIB})?", "capture_graphs"),
    _fact("phase", "init engine (", rf"init engine \(.*?\) took {_S}(?: \(compilation: (?P<compile>[\d.]+) s)?", "init_engine"),
    # --- Capacity ---
    _fact("kv_cache", "KV cache memory", rf"Available KV cache memory: {_GIB}"),
    _fact("kv_cache", "for KV cache", r"Explicitly set \((?P<gib>[\d.]+)/[\d.]+\) GiB for KV cache"),
    _fact("kv_cache", "KV cache size", r"\w+ KV cache size: (?P<tokens>[\d,]+) tokens(?:, Maximum concurrency for [\d,]+ tokens per request: (?P<concurrency>[\d.]+)x)?"),
    _fact("kv_cache", "Maximum concurrency", r"Maximum concurrency for [\d,]+ tokens per request: (?P<concurrency>[\d.]+)x"),
    _fact("kv_cache", "# ", r"# (?:GPU|cuda|rocm|cpu) blocks: (?P<blocks>\d+)"),
    # --- Life ---
    _fact("ready", "startup complete", r"Application startup complete"),
    _fact("received", "Received request", r"Received request (?P<id>\S+?):? (?P<content>prompt: )?"),
    _fact("aborted", "borted request", r"Aborted request(?:\(s\))? (?P<id>\S+?)\.?$"),
    _fact("aborted", "aborted", r"Request (?P<id>\S+) aborted"),
    _fact("failed", " failed (", r"Request (?P<id>\S+) failed \((?P<why>[^)]*)\)"),
    _fact("shutdown", "[shutdown]", r"\[shutdown\] (?P<what>.*)"),
    _fact("shutdown", "Shutting down", r"(?P<what>Shutting down)$"),
    _fact("http", " HTTP/", r'\S+ - "[A-Z]+ (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d{3})'),
    # --- What a log should not hold ---
    _fact("content", "details: prompt", r"Request \S+ details: prompt: "),
    _fact("content", "JSON body", r"Request \S+ JSON body: "),
    _fact("content", "Generated response", r"Generated response \S+.*: output: "),
    # --- Ends ---
    _fact("fatal", "out of memory", r".*(?:CUDA|HIP|XPU) (?:error: )?out of memory", "out_of_memory"),
    _fact("fatal", "OutOfMemoryError", r".*OutOfMemoryError", "out_of_memory"),
    _fact("fatal", "No available memory", r".*No available memory for the cache blocks", "out_of_memory"),
    _fact("fatal", "error", r".*(?:CUDA|HIP|NCCL|RCCL) error: ", "device_error"),
    _fact("fatal", "failed to start", r"(?:EngineCore|WorkerProc) failed to start", "start_failed"),
    _fact("fatal", "initialization failed", r".*Engine core initialization failed", "start_failed"),
    _fact("fatal", "fatal error", r"EngineCore encountered a fatal error", "engine_died"),
    _fact("fatal", "exited unexpectedly", r".*engine core exited unexpectedly", "engine_died"),
    _fact("fatal", "EngineDeadError", r".*EngineDeadError", "engine_died"),
)  # fmt: skip


def match(message: str) -> tuple[Fact, re.Match[str]] | None:
    """The first fact that a message states."""
    for fact in FACTS:
        if fact.hint in message and (found := fact.pattern.match(message)):
            return fact, found
    return None
