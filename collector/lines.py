"""The lines of Prometheus' text formats and of OpenMetrics: bytes to what a line says.

The grammar is the union of text 0.0.4 and 1.0.0 and OpenMetrics 1.0, read as leniently as
Prometheus itself reads it: spaces and tabs anywhere between tokens, trailing commas, empty braces,
any order of metadata.
"""

import re
from dataclasses import dataclass

from firsttoken.collector.page import Kind, MalformedError, Series

__all__ = ["Metadata", "SampleLine", "metadata", "plain_series", "sample", "series"]

# Possessive quantifiers keep each match linear in the length of the line.
_QUOTED = rb'"(?:[^"\\]|\\.)*+"'
_IDENTITY = rb"(?:[a-zA-Z_:][a-zA-Z0-9_:]*+)?[ \t]*+(?:\{(?:[^\"}]|" + _QUOTED + rb")*+\})?"
_SAMPLE = re.compile(
    rb"[ \t]*+(?P<identity>" + _IDENTITY + rb")[ \t]*+"
    rb"(?P<value>[^ \t#{}]++)"
    rb"(?:[ \t]++(?P<timestamp>-?+[0-9][0-9.eE+-]*+))?[ \t]*+"
    rb"(?:#[ \t]*+(?P<exemplar>\{.*))?+",
    re.DOTALL,
)
_EXEMPLAR = re.compile(
    rb"(\{(?:[^\"}]|" + _QUOTED + rb")*+\})[ \t]++([^ \t]++)(?:[ \t]++([^ \t]++))?[ \t]*+",
    re.DOTALL,
)
_NAME = re.compile(rb"([a-zA-Z_:][a-zA-Z0-9_:]*+)?[ \t]*+(?:\{(.*)\})?", re.DOTALL)
# How nearly every series is written: nothing escaped, no space to spare.
_PLAIN = re.compile(
    rb"([a-zA-Z_:][a-zA-Z0-9_:]*+)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*+=\"[^\"\\]*+\",?+)*+)\})?+"
)
_PLAIN_LABEL = re.compile(r'([a-zA-Z0-9_]++)="([^"]*+)"')
_LABEL = re.compile(
    rb"[ \t]*+(?:([a-zA-Z_:][a-zA-Z0-9_:.]*+)|(" + _QUOTED + rb"))[ \t]*+"
    rb"(?:=[ \t]*+(" + _QUOTED + rb"))?[ \t]*+(?:,|$)",
    re.DOTALL,
)
_METADATA = re.compile(
    rb"[ \t]*+#[ \t]++(HELP|TYPE|UNIT)[ \t]++(" + _QUOTED + rb"|[^ \t]++)(?:[ \t](.*))?",
    re.DOTALL,
)
_ESCAPE = re.compile(r'\\([\\n"])')
_MEANING = {"\\": "\\", "n": "\n", '"': '"'}
_KINDS = {kind.value: kind for kind in Kind} | {"untyped": Kind.UNKNOWN}


@dataclass(frozen=True, slots=True)
class SampleLine:
    """One sample: the bytes of its identity and of its numbers."""

    identity: bytes
    value: bytes
    timestamp: bytes | None
    exemplar: bytes | None


@dataclass(frozen=True, slots=True)
class Metadata:
    """One ``# HELP``, ``# TYPE`` or ``# UNIT`` line."""

    what: str
    name: str
    text: str

    @property
    def kind(self) -> Kind:
        """The type that a ``TYPE`` line names; a word that no format has says nothing."""
        return _KINDS.get(self.text.strip().lower(), Kind.UNKNOWN)


def sample(line: bytes) -> SampleLine:
    """A line that is no comment; raises MalformedError."""
    match = _SAMPLE.fullmatch(line)
    if match is None or not match["identity"]:
        raise MalformedError(f"not a sample: {_shown(line)}")
    exemplar = match["exemplar"]
    if exemplar is not None:
        found = _EXEMPLAR.fullmatch(exemplar)
        if found is None:
            raise MalformedError(f"not an exemplar: {_shown(line)}")
        exemplar = b" ".join(part for part in found.groups() if part is not None)
    return SampleLine(match["identity"], match["value"], match["timestamp"], exemplar)


def plain_series(head: bytes) -> Series | None:
    """The series that ``head``, all of a line before its last space, is if it is written plainly.

    None says nothing: the line may have a timestamp, or be no sample at all.
    """
    match = _PLAIN.fullmatch(head)
    if match is None:
        return None
    try:
        labels = _PLAIN_LABEL.findall((match[2] or b"").decode())
    except UnicodeDecodeError:
        return None
    if len(dict(labels)) != len(labels):
        return None
    return Series(match[1].decode(), tuple(item for item in labels if item[1]))


def series(identity: bytes) -> Series:
    """The name and labels of a sample; raises MalformedError."""
    match = _NAME.fullmatch(identity.rstrip())
    if match is None:
        raise MalformedError(f"not a series: {_shown(identity)}")
    try:
        name = (match[1] or b"").decode()
        labels, quoted_name = _labels(match[2] or b"", identity)
    except UnicodeDecodeError:
        raise MalformedError(f"not UTF-8: {_shown(identity)}") from None
    if bool(name) == bool(quoted_name):
        raise MalformedError(f"a series has one name: {_shown(identity)}")
    return Series(name or quoted_name, tuple(item for item in labels.items() if item[1]))


def _labels(text: bytes, identity: bytes) -> tuple[dict[str, str], str]:
    """The labels between the braces, and the name that may stand among them in quotes."""
    labels: dict[str, str] = {}
    name, place = "", 0
    while text[place:].strip():
        match = _LABEL.match(text, place)
        if match is None:
            raise MalformedError(f"labels cannot be read: {_shown(identity)}")
        bare, quoted, value = match.groups()
        if value is None:
            if name or quoted is None:
                raise MalformedError(f"a label without a value: {_shown(identity)}")
            name = _unquote(quoted)
        else:
            label = bare.decode() if quoted is None else _unquote(quoted)
            if label in labels:
                raise MalformedError(f"label {label} is there twice: {_shown(identity)}")
            labels[label] = _unquote(value)
        place = match.end()
    return labels, name


def metadata(line: bytes) -> Metadata | None:
    """A comment that says something about a family; None for any other comment."""
    match = _METADATA.fullmatch(line)
    if match is None:
        return None
    what, name, text = match.groups()
    bare = _unquote(name) if name.startswith(b'"') else name.decode(errors="replace")
    return Metadata(what.decode(), bare, _unescape((text or b"").decode(errors="replace")))


def _unquote(quoted: bytes) -> str:
    return _unescape(quoted[1:-1].decode())


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: _MEANING[match[1]], text)


def _shown(line: bytes) -> str:
    """At most 80 characters of a line, for a message."""
    text = line.decode(errors="backslashreplace")
    return repr(text if len(text) <= 80 else text[:77] + "...")
