"""The forms in which a page is served, and which one a client asks for."""

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["OPENMETRICS", "TEXT", "Form", "needs_quotes", "negotiate"]

_ESCAPED = re.compile(r"[^a-zA-Z0-9_:]")
_LEGACY = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LEGACY_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Form:
    """A text format and the names in it; ``utf8`` means that names may have dots."""

    openmetrics: bool
    version: str
    utf8: bool = False

    @property
    def content_type(self) -> str:
        """The value of the header, with the escaping that the newer versions ask to be told."""
        kind = "application/openmetrics-text" if self.openmetrics else "text/plain"
        escaping = ""
        if self.utf8 or self.version != "0.0.4":
            escaping = f"; escaping={'allow-utf-8' if self.utf8 else 'underscores'}"
        return f"{kind}; version={self.version}; charset=utf-8{escaping}"

    def name(self, name: str, dotted: str) -> str:
        """A metric's name: dotted, or every other character as ``_``."""
        if self.utf8:
            return dotted
        return name if _LEGACY.fullmatch(name) else _escape(name)

    def label(self, name: str) -> str:
        """A label's name."""
        if self.utf8 or _LEGACY_LABEL.fullmatch(name):
            return name
        return _escape(name).replace(":", "_")


TEXT = Form(openmetrics=False, version="0.0.4")
OPENMETRICS = Form(openmetrics=True, version="1.0.0")


def _escape(name: str) -> str:
    escaped = _ESCAPED.sub("_", name)
    return f"_{escaped}" if escaped[:1].isdigit() else escaped


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
    utf8 = given.get("escaping") == "allow-utf-8"
    if kind == "application/openmetrics-text" and version in ("", "0.0.1", "1.0.0"):
        # Version 0.0.1 is what Prometheus asks of servers older than the standard; 1.0.0 fits it.
        return Form(openmetrics=True, version=version or "1.0.0", utf8=utf8 and version == "1.0.0")
    if kind == "text/plain" and version == "1.0.0":
        return Form(openmetrics=False, version="1.0.0", utf8=utf8)
    if kind in ("text/plain", "text/*", "*/*") and version in ("", "0.0.4"):
        return TEXT
    return None
