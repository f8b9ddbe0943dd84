"""The forms in which a page is served, and which one a client asks for."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

__all__ = ["OPENMETRICS", "TEXT", "Escaping", "Form", "needs_quotes", "negotiate"]

_ESCAPED = re.compile(r"[^a-zA-Z0-9_:]")
_LEGACY = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LEGACY_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


Escaping = Literal["allow-utf-8", "underscores", "dots", "values"]
"""What becomes of characters that Prometheus' older names do not have.

Source: Prometheus, "UTF-8 metric and label name escaping schemes".
"""


@dataclass(frozen=True, slots=True)
class Form:
    """A text format and the names in it."""

    openmetrics: bool
    version: str
    escaping: Escaping = "underscores"

    @property
    def utf8(self) -> bool:
        """Whether names may have dots, and are written in quotes then."""
        return self.escaping == "allow-utf-8"

    @property
    def content_type(self) -> str:
        """The value of the header, with the escaping that the newer versions ask to be told."""
        kind = "application/openmetrics-text" if self.openmetrics else "text/plain"
        told = ""
        if self.escaping != "underscores" or self.version != "0.0.4":
            told = f"; escaping={self.escaping}"
        return f"{kind}; version={self.version}; charset=utf-8{told}"

    def name(self, name: str, dotted: str) -> str:
        """A metric's name; what is escaped is the dotted one, unless into underscores."""
        if self.utf8:
            return dotted
        if self.escaping == "underscores":
            return name if _LEGACY.fullmatch(name) else _escape(name)
        return _REVERSIBLE[self.escaping](dotted, _LEGACY)

    def label(self, name: str) -> str:
        """A label's name."""
        if self.utf8:
            return name
        if self.escaping == "underscores":
            if _LEGACY_LABEL.fullmatch(name):
                return name
            return _escape(name).replace(":", "_")
        return _REVERSIBLE[self.escaping](name, _LEGACY_LABEL)


TEXT = Form(openmetrics=False, version="0.0.4")
OPENMETRICS = Form(openmetrics=True, version="1.0.0")


def _escape(name: str) -> str:
    escaped = _ESCAPED.sub("_", name)
    return f"_{escaped}" if escaped[:1].isdigit() else escaped


def _dots(name: str, legacy: re.Pattern[str]) -> str:
    """Underscores doubled, dots spelled out; of any other character only its place remains."""

    def escaped(place: int, character: str) -> str:
        if character == ".":
            return "_dot_"
        return character if _is_legacy(character, place, legacy) else "__"

    return "".join([escaped(place, character) for place, character in enumerate(name)])


def _values(name: str, legacy: re.Pattern[str]) -> str:
    """A name that is legacy as it is, of any other each other character's number in hex."""
    if legacy.fullmatch(name):
        return name

    def escaped(place: int, character: str) -> str:
        if character == "_":
            return "__"
        return character if _is_legacy(character, place, legacy) else f"_{ord(character):x}_"

    return "U__" + "".join([escaped(place, character) for place, character in enumerate(name)])


def _is_legacy(character: str, place: int, legacy: re.Pattern[str]) -> bool:
    """Whether a character other than ``_`` may stand at a place of a legacy name."""
    before = "x" if place else ""
    return character != "_" and legacy.fullmatch(before + character) is not None


_REVERSIBLE: dict[str, Callable[[str, re.Pattern[str]], str]] = {"dots": _dots, "values": _values}


def needs_quotes(name: str, *, label: bool) -> bool:
    """Whether a name can only be written in quotes."""
    return not (_LEGACY_LABEL if label else _LEGACY).fullmatch(name)


@lru_cache(maxsize=64)
def negotiate(accept: str | None) -> Form:
    """The form that an ``Accept`` header prefers; text 0.0.4 where it prefers none of ours.

    Of equal weights the first counts.  Source: RFC 9110, section 12.5.1, and Prometheus' content
    negotiation (``escaping`` is a parameter of the media type).
    """
    best: tuple[float, Form] | None = None
    for item in (accept or "").split(","):
        kind, *parameters = [part.strip() for part in item.split(";")]
        given = {
            name.strip().lower(): value.strip().strip('"')
            for name, _, value in (parameter.partition("=") for parameter in parameters)
        }
        form = _form(kind.lower(), given)
        weight = _weight(given.get("q", "1"))
        if form is not None and weight > 0 and (best is None or weight > best[0]):
            best = (weight, form)
    return best[1] if best else TEXT


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


def _form(kind: str, given: dict[str, str]) -> Form | None:
    version = given.get("version", "")
    openmetrics = kind == "application/openmetrics-text"
    if openmetrics and version in ("", "0.0.1", "1.0.0"):
        # Version 0.0.1 is what Prometheus asks of servers older than the standard; 1.0.0 fits it.
        shown = version or "1.0.0"
    elif kind == "text/plain" and version == "1.0.0":
        shown = version
    elif kind in ("text/plain", "text/*", "*/*") and version in ("", "0.0.4"):
        shown = "0.0.4"
    else:
        return None
    # Names in quotes are newer than the other versions; an escaping that is not known is none.
    known = get_args(Escaping) if version == "1.0.0" else tuple(_REVERSIBLE)
    told = given.get("escaping", "")
    escaping: Escaping = told if told in known else "underscores"  # type: ignore[assignment]
    return Form(openmetrics=openmetrics, version=shown, escaping=escaping)
