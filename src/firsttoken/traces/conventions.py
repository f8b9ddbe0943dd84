"""The attributes of the spans that firsttoken makes or mends, one declaration each.

Names, types and requirement levels of ``CLIENT`` are those of OpenTelemetry's inference span
(gen-ai-dev/1.42.0-dev).  No convention describes a model server's own span, so ``SERVER`` takes the
same names where they mean the same, and where none does the names of the catalogue's metrics.
"""

from dataclasses import dataclass
from typing import Literal

from firsttoken.catalogue import (
    DECODE_DURATION,
    ERROR_TYPE,
    OPERATION,
    PREFILL_DURATION,
    PROVIDER,
    QUEUE_DURATION,
    REQUEST_DURATION,
    REQUEST_MODEL,
    SERVER_ADDRESS,
    SERVER_PORT,
    Attribute,
    Requirement,
)
from firsttoken.otlp.values import Span, SpanKind, Status, Value

__all__ = ["CLIENT", "FIRST_TOKEN", "SENT", "SERVER", "SpanAttribute", "SpanConvention", "problems"]

Type = Literal["string", "int", "double", "boolean", "string[]"]
_REQUIRED, _CONDITIONAL = Requirement.REQUIRED, Requirement.CONDITIONALLY_REQUIRED
_PREFIXES = ("gen_ai.", "server.", "error.", "firsttoken.")


@dataclass(frozen=True, slots=True)
class SpanAttribute:
    """An attribute of a span: what the catalogue knows of it, and the type of its values."""

    attribute: Attribute
    type: Type
    extension: bool = False
    """Whether no convention has the name."""

    @property
    def name(self) -> str:
        """The attribute's name."""
        return self.attribute.name

    def takes(self, value: Value) -> bool:
        """Whether a value has the attribute's type."""
        if self.type == "string[]":
            return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
        if isinstance(value, bool):
            return self.type == "boolean"
        kinds = {"string": str, "int": int, "double": float}
        return self.type in kinds and isinstance(value, kinds[self.type])


@dataclass(frozen=True, slots=True)
class SpanConvention:
    """One kind of span; its name is the operation and the model, as the conventions have it."""

    kind: SpanKind
    attributes: tuple[SpanAttribute, ...]

    def find(self, name: str) -> SpanAttribute | None:
        """The declaration of an attribute."""
        return next((entry for entry in self.attributes if entry.name == name), None)


def _standard(name: str, kind: Type, requirement: Requirement | None = None) -> SpanAttribute:
    return SpanAttribute(Attribute(name, requirement or Requirement.RECOMMENDED), kind)


def _extension(name: str, kind: Type) -> SpanAttribute:
    return SpanAttribute(Attribute(name), kind, extension=True)


_INFERENCE = (
    SpanAttribute(OPERATION, "string"),
    # A server's own name, of which there is no list; "openai" of one that does not say it.
    SpanAttribute(Attribute(PROVIDER.name, _REQUIRED), "string"),
    SpanAttribute(REQUEST_MODEL, "string"),
    _standard("gen_ai.response.id", "string"),
    _standard("gen_ai.response.model", "string"),
    _standard("gen_ai.response.finish_reasons", "string[]"),
    _standard("gen_ai.response.time_to_first_chunk", "double"),
    _standard("gen_ai.request.max_tokens", "int"),
    _standard("gen_ai.request.temperature", "double"),
    _standard("gen_ai.request.top_p", "double"),
    _standard("gen_ai.request.choice.count", "int", _CONDITIONAL),
    _standard("gen_ai.usage.input_tokens", "int"),
    _standard("gen_ai.usage.output_tokens", "int"),
)
CLIENT = SpanConvention(
    SpanKind.CLIENT,
    (
        *_INFERENCE,
        SpanAttribute(ERROR_TYPE, "string"),
        SpanAttribute(SERVER_ADDRESS, "string"),
        SpanAttribute(SERVER_PORT, "int"),
        _standard("gen_ai.request.stream", "boolean", _CONDITIONAL),
        _standard("gen_ai.conversation.id", "string", _CONDITIONAL),
        _extension("firsttoken.request.index", "int"),
        _extension("firsttoken.request.phase", "string"),
    ),
)
"""One request of the load generator, from the moment it was due to the end of its answer."""

SERVER = SpanConvention(
    SpanKind.SERVER,
    (
        *_INFERENCE,
        _extension("gen_ai.request.id", "string"),
        _extension(REQUEST_DURATION.name, "double"),
        _extension(QUEUE_DURATION.name, "double"),
        _extension(PREFILL_DURATION.name, "double"),
        _extension(DECODE_DURATION.name, "double"),
        _extension("gen_ai.server.inference.duration", "double"),
    ),
)
"""A model server's work on one request, times in seconds."""

SENT = "firsttoken.request.sent"
"""The event of a client span when the request's last byte was sent."""
FIRST_TOKEN = "firsttoken.response.first_token"  # noqa: S105 - a token of text
"""The event of a client span when the first generated content came."""


def problems(span: Span, convention: SpanConvention) -> list[str]:
    """What a span says otherwise than the convention does, one sentence each."""
    found = []
    if span.kind is not convention.kind:
        found.append(f"kind is {span.kind.name}, not {convention.kind.name}")
    found += [
        f"{entry.name} is required, but missing"
        for entry in convention.attributes
        if entry.attribute.requirement is _REQUIRED and entry.name not in span.attributes
    ]
    for name, value in span.attributes.items():
        entry_or_none = convention.find(name)
        if entry_or_none is None:
            if name.startswith(_PREFIXES):
                found.append(f"{name} is not declared")
        elif not entry_or_none.takes(value):
            found.append(f"{name} is {value!r}, which is no {entry_or_none.type}")
        elif (known := entry_or_none.attribute.values) and value not in known:
            found.append(f"{name} is {value!r}, which is none of {', '.join(known)}")
    failed = span.status is Status.ERROR
    if failed and convention.find(ERROR_TYPE.name) and ERROR_TYPE.name not in span.attributes:
        found.append(f"{ERROR_TYPE.name} is required of a span that failed")
    operation, model = (span.attributes.get(a.name) for a in (OPERATION, REQUEST_MODEL))
    if operation is not None and span.name != " ".join(str(p) for p in (operation, model) if p):
        found.append(f"the name is {span.name!r}, not the operation and the model")
    return found
