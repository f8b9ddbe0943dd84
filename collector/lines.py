"""The lines of Prometheus' text formats and of OpenMetrics: bytes to what a line says.

The grammar is the union of text 0.0.4 and 1.0.0 and OpenMetrics 1.0, read as leniently as
Prometheus itself reads it: spaces and tabs anywhere between tokens, trailing commas, empty braces,
any order of metadata.
"""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from firsttoken.collector.page import Kind, Labels, LimitError, MalformedError, Series

__all__ = [
    "Metadata",
    "PlainLabels",
    "PlainNames",
    "Tail",
    "check_labels",
    "head",
    "metadata",
    "series",
    "shown",
    "tail",
]

# Possessive quantifiers keep each match linear in the length of the line.
_QUOTED = rb'"(?:[^"\\]|\\.)*+"'
_IDENTITY = rb"(?:[a-zA-Z_:][a-zA-Z0-9_:]*+)?[ \t]*+(?:\{(?:[^\"}]|" + _QUOTED + rb")*+\})?"
_HEAD = re.compile(rb"[ \t]*+(?P<identity>" + _IDENTITY + rb")[ \t]*+", re.DOTALL)
_TAIL = re.compile(
    rb"([^ \t#{}]++)(?:[ \t]++(-?+[0-9][0-9.eE+-]*+))?[ \t]*+(?:#[ \t]*+(\{.*))?+", re.DOTALL
)
_EXEMPLAR = re.compile(
    rb"(\{(?:[^\"}]|" + _QUOTED + rb")*+\})[ \t]++([^ \t]++)(?:[ \t]++([^ \t]++))?[ \t]*+",
    re.DOTALL,
)
_EXEMPLAR_CHARACTERS = 128
_NAME = re.compile(rb"([a-zA-Z_:][a-zA-Z0-9_:]*+)?[ \t]*+(?:\{(.*)\})?", re.DOTALL)
# How nearly every series is written: nothing escaped, no space to spare.
_PLAIN_NAME = re.compile(rb"([a-zA-Z_:][a-zA-Z0-9_:]*+) ?")
_PLAIN_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*+)="([^"\\]*+)"(?:,|\} $)')
_PLAIN_MARKS = 4
"""Of each label the equals sign, two quotes and what ends it."""
_LABEL = re.compile(
    rb"[ \t]*+(?:([a-zA-Z_:][a-zA-Z0-9_:.]*+)|(" + _QUOTED + rb"))[ \t]*+"
    rb"(?:=[ \t]*+(" + _QUOTED + rb"))?[ \t]*+(?:,|$)",
    re.DOTALL,
)
_METADATA = re.compile(
    rb"[ \t]*+#[ \t]++(HELP|TYPE|UNIT)[ \t]++(" + _QUOTED + rb"|[^ \t]++)(?:[ \t](.*))?",
    re.DOTALL,
)
_LABEL_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_]*+")
_made = tuple.__new__
_ESCAPE = re.compile(r'\\([\\n"])')
_SAID = {b"# HELP ": "HELP", b"# TYPE ": "TYPE", b"# UNIT ": "UNIT"}
_MEANING = {"\\": "\\", "n": "\n", '"': '"'}
_KINDS = {kind.value: kind for kind in Kind} | {"untyped": Kind.UNKNOWN}


class Tail(NamedTuple):
    """What stands after a series on its line."""

    value: bytes
    timestamp: bytes | None = None
    exemplar: bytes | None = None


class Metadata(NamedTuple):
    """One ``# HELP``, ``# TYPE`` or ``# UNIT`` line."""

    what: str
    name: str
    text: str

    @property
    def kind(self) -> Kind:
        """The type that a ``TYPE`` line names; a word that no format has says nothing."""
        return _KINDS.get(self.text) or _KINDS.get(self.text.strip().lower(), Kind.UNKNOWN)


def head(line: bytes) -> bytes:
    """All of a line that is no comment up to its number; raises MalformedError."""
    match = _HEAD.match(line)
    if match is None or not match["identity"]:
        raise MalformedError(f"not a sample: {shown(line)}")
    return match[0]


def tail(text: bytes) -> Tail:
    """The number, and what may follow it; raises MalformedError."""
    match = _TAIL.fullmatch(text)
    if match is None:
        raise MalformedError(f"no number, or more than a number: {shown(text)}")
    value, timestamp, exemplar = match.groups()
    return Tail(value, timestamp, exemplar and _exemplar(exemplar))


def _exemplar(text: bytes) -> bytes | None:
    """An exemplar as it may be served; None for one that OpenMetrics does not allow.

    It is no reason to lose the sample.  Raises MalformedError for what is no exemplar at all.
    """
    match = _EXEMPLAR.fullmatch(text)
    if match is None:
        raise MalformedError(f"not an exemplar: {shown(text)}")
    braces, value, timestamp = match.groups()
    try:
        labels, name = _labels(braces[1:-1], text)
        finite = all(math.isfinite(float(number)) for number in (value, timestamp or b"0"))
    except ValueError:
        return None
    characters = sum(len(key) + len(text) for key, text in labels.items())
    plain = all(_LABEL_NAME.fullmatch(key) for key in labels)
    if name or not finite or not plain or characters > _EXEMPLAR_CHARACTERS or b"_" in value:
        return None
    return b" ".join(part for part in (braces, value, timestamp) if part is not None)


class PlainNames(dict[bytes, str | None]):
    """What stands before the braces -> the name; None for what is not written plainly.

    A dictionary that fills itself, as the next one does: most lines are found in C.
    """

    def __missing__(self, start: bytes) -> str | None:
        match = _PLAIN_NAME.fullmatch(start)
        found = self[start] = match[1].decode() if match else None
        return found


class PlainLabels(dict[bytes, Labels | None]):
    """What stands from behind the first brace to the number -> the labels, likewise.

    ``longest`` is how many characters a label's value may have; raises LimitError.
    """

    def __init__(self, longest: int) -> None:
        super().__init__({b"": ()})
        self._longest = longest
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        self._around: dict[tuple[bytes, bytes], tuple[Labels, Labels]] = {}
        """What stands around a bucket's bound -> the labels before and behind it."""

    def __missing__(self, rest: bytes) -> Labels | None:
        try:
            found = self[rest] = self._read(rest)
        except UnicodeDecodeError:
            found = self[rest] = None
        return found

    def _read(self, rest: bytes) -> Labels | None:
        before, le, behind = rest.partition(b'le="')
        if not le or (before and before[-1:] != b","):
            return self._parse(rest)
        # A histogram's buckets are alike but for the bound.
        bound, _, behind = behind.partition(b'"')
        around = self._around.get((before, behind))
        if around is not None and bound and b"\\" not in bound and len(bound) <= self._longest:
            item = ("le", bound.decode())
            return (*around[0], self._pairs.setdefault(item, item), *around[1])
        labels = self._parse(rest)
        place = next((i for i, item in enumerate(labels or ()) if item[0] == "le"), None)
        if labels is not None and place is not None and b"\\" not in rest:
            self._around[before, behind] = (labels[:place], labels[place + 1 :])
        return labels

    def _parse(self, rest: bytes) -> Labels | None:
        text = rest.decode()
        labels = _PLAIN_LABEL.findall(text)
        # Nothing but labels and the space behind them.
        said = sum([len(name) + len(value) for name, value in labels])
        if said + _PLAIN_MARKS * len(labels) + 1 != len(text):
            return None
        if len(dict(labels)) != len(labels):
            return None
        if len(rest) > self._longest:
            check_labels(labels, self._longest)
        share = self._pairs.setdefault
        return tuple([share(item, item) for item in labels if item[1]])


def check_labels(labels: Iterable[tuple[str, str]], longest: int) -> None:
    """Raises LimitError if a label's value has more characters than ``longest``."""
    for name, value in labels:
        if len(value) > longest:
            raise LimitError(f"label {name} has more than {longest} characters")


def series(identity: bytes) -> Series:
    """The name and labels of a sample; raises MalformedError."""
    match = _NAME.fullmatch(identity.rstrip())
    if match is None:
        raise MalformedError(f"not a series: {shown(identity)}")
    try:
        name = (match[1] or b"").decode()
        labels, quoted_name = _labels(match[2] or b"", identity)
    except UnicodeDecodeError:
        raise MalformedError(f"not UTF-8: {shown(identity)}") from None
    if bool(name) == bool(quoted_name):
        raise MalformedError(f"a series has one name: {shown(identity)}")
    return Series(name or quoted_name, tuple(item for item in labels.items() if item[1]))


def _labels(text: bytes, identity: bytes) -> tuple[dict[str, str], str]:
    """The labels between the braces, and the name that may stand among them in quotes."""
    labels: dict[str, str] = {}
    name, place = "", 0
    while text[place:].strip():
        match = _LABEL.match(text, place)
        if match is None:
            raise MalformedError(f"labels cannot be read: {shown(identity)}")
        bare, quoted, value = match.groups()
        if value is None:
            if name or quoted is None:
                raise MalformedError(f"a label without a value: {shown(identity)}")
            name = _unquote(quoted)
        else:
            label = bare.decode() if quoted is None else _unquote(quoted)
            if label in labels:
                raise MalformedError(f"label {label} is there twice: {shown(identity)}")
            labels[label] = _unquote(value)
        place = match.end()
    return labels, name


def metadata(line: bytes) -> Metadata | None:
    """A comment that says something about a family; None for any other comment."""
    plain = _SAID.get(line[:7])
    if plain is not None and b"\t" not in line:
        # As nearly every one is written.
        bare, _, told = str(line[7:], "utf-8", "replace").partition(" ")
        if bare and bare[0] != '"':
            return _made(Metadata, (plain, bare, _unescape(told) if "\\" in told else told))
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


def shown(line: bytes) -> str:
    """At most 80 characters of a line, for a message."""
    text = line.decode(errors="backslashreplace")
    return repr(text if len(text) <= 80 else text[:77] + "...")
