"""Labels as the lines of a form have them; each set of labels is worked out once for a page."""

import math
import re

from firsttoken.collector.form import Form, needs_quotes
from firsttoken.collector.numbers import canonical
from firsttoken.collector.page import Labels, apart

__all__ = ["LabelText", "has_escapes", "quoted"]

_ESCAPED = re.compile(r'[\\\n"]')
_NUMERAL = re.compile(
    r"[+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?|inf|Inf)|[nN]a[nN]"
)


class LabelText:
    """Labels as lines have them; each set of labels is worked out once for a page."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._tails: dict[Labels, bytes] = {}
        self._keys: dict[str, str] = {}
        self._texts: dict[tuple[str, str], str] = {}
        self._clash = False
        """Whether two labels of this page are one in this form."""
        self._first: dict[frozenset[str], str] = {}
        self._limits: dict[tuple[str, str], tuple[float, bytes]] = {}

    def tail(self, labels: Labels) -> bytes:
        """What stands between a line's name and its number.

        It is the same for the same labels in another order.
        """
        found = self._tails.get(labels)
        if found is None:
            found = self._tails[labels] = (
                f"{{{self._joined(labels)}}} ".encode() if labels else b" "
            )
        return found

    def _joined(self, labels: Labels) -> str:
        known = self._texts
        try:
            texts = [known[item] for item in labels]
        except KeyError:
            for item in labels:
                if item not in known:
                    known[item] = self._text(item)
            texts = [known[item] for item in labels]
        if self._clash:
            # Of two labels of one name the first counts.
            first: dict[str, str] = {}
            for (label, _), text in zip(labels, texts, strict=True):
                first.setdefault(self._keys[label], text)
            texts = list(first.values())
        return self._first.setdefault(frozenset(texts), ",".join(texts))

    def _text(self, item: tuple[str, str]) -> str:
        """A label's name and value as a line has them."""
        label, value = item
        key = self._keys.get(label)
        if key is None:
            key = self._form.label(label)
            if self._form.utf8 and needs_quotes(key, label=True):
                key = quoted(key)
            self._clash |= key in self._keys.values()
            self._keys[label] = key
        return f"{key}={quoted(value)}"

    def limit(self, bound: str, text: str) -> tuple[float, bytes]:
        """A bound as a number (minus infinity if it is none), and the end of a line's tail."""
        found = self._limits.get((bound, text))
        if found is None:
            number = _number(text)
            shown = quoted(canonical(text) if self._form.openmetrics else text)
            found = -math.inf if number is None else number, f"{bound}={shown}}} ".encode()
            self._limits[bound, text] = found
        return found

    def bound(self, labels: Labels, bound: str) -> float | None:
        """The number of a bound, if there is one; minus infinity if it is no number."""
        limit = apart(labels, bound)[1]
        return None if limit is None else self.limit(bound, limit[1])[0]


def _number(text: str) -> float | None:
    """The number that every reader, whatever it is written in, takes a bound for; or None."""
    if not _NUMERAL.fullmatch(text):
        return None
    number = float(text)
    # Too large for a number is an error to some; infinity has a spelling of its own.
    return number if math.isfinite(number) or not text[-1:].isdigit() else None


def has_escapes(text: str) -> bool:
    """Whether a text cannot stand on a line as it is."""
    return not text.isalnum() and _ESCAPED.search(text) is not None


def quoted(text: str) -> str:
    """A text in quotes, what would end them escaped."""
    if not has_escapes(text):
        return f'"{text}"'
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{escaped}"'
