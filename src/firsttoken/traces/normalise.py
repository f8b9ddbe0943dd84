"""What vLLM says in its spans, in today's words: renames and what can be told besides.

The tables are what both our receiver and the generated Collector configuration do.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from firsttoken.catalogue import (
    OPERATION,
    PROVIDER,
    REQUEST_MODEL,
)
from firsttoken.traces.words import (
    OPERATIONS,
    PROVIDER_NAME,
    RENAMES,
    REQUEST_ID,
    SPAN_NAME,
)

__all__ = ["normalise", "sink"]

_CHOICES, _OUTPUT, _LIMIT, _REASONS = (
    "gen_ai.request.choice.count",
    "gen_ai.usage.output_tokens",
    "gen_ai.request.max_tokens",
    "gen_ai.response.finish_reasons",
)
_RESPONSE_ID = "gen_ai.response.id"


def normalise(request: ExportTraceServiceRequest, model: str | None = None) -> int:
    """Change vLLM's request spans in place; returns how many there were.

    The model is taken from the span, else from the resource's ``gen_ai.request.model``, else it is
    ``model``.  A finish reason is added where the answer is as long as it might be: ``length``.
    """
    changed = 0
    for resource_spans in request.resource_spans:
        known = {pair.key: pair.value for pair in resource_spans.resource.attributes}
        named = known[REQUEST_MODEL.name].string_value if REQUEST_MODEL.name in known else model
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                if span.name == SPAN_NAME:
                    _mend(span, named)
                    changed += 1
    return changed


def _mend(span: Any, model: str | None) -> None:
    new = dict(RENAMES)
    found: dict[str, AnyValue] = {}
    for pair in span.attributes:
        found[new.get(pair.key, pair.key)] = AnyValue.FromString(pair.value.SerializeToString())
    if _CHOICES in found and found[_CHOICES].int_value == 1:
        del found[_CHOICES]  # said of several only
    _add(found, PROVIDER.name, PROVIDER_NAME)
    if model:
        _add(found, REQUEST_MODEL.name, model)
    own = found[REQUEST_ID].string_value if REQUEST_ID in found else ""
    for prefix, operation in OPERATIONS:
        if own.startswith(prefix):
            _add(found, OPERATION.name, operation)
            cut, hyphen, number = own.rpartition("-")
            several = prefix == "cmpl-" and hyphen and number.isdigit()
            _add(found, _RESPONSE_ID, cut if several else own)
            break
    whole = {_OUTPUT, _LIMIT} <= found.keys() and found[_OUTPUT] == found[_LIMIT]
    if whole and _REASONS not in found:
        length = ArrayValue(values=[AnyValue(string_value="length")])
        found[_REASONS] = AnyValue(array_value=length)
    del span.attributes[:]
    span.attributes.extend(KeyValue(key=key, value=value) for key, value in found.items())
    if OPERATION.name in found:
        words = (
            found[key].string_value for key in (OPERATION.name, REQUEST_MODEL.name) if key in found
        )
        span.name = " ".join(words)


def _add(found: dict[str, AnyValue], name: str, value: str) -> None:
    found.setdefault(name, AnyValue(string_value=value))


def sink(inner: Callable[[Message], None], model: str | None = None) -> Callable[[Message], None]:
    """A receiver's sink that normalises spans before ``inner`` is given them."""

    def take(message: Message) -> None:
        if isinstance(message, ExportTraceServiceRequest):
            normalise(message, model)
        inner(message)

    return take
