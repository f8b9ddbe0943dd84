"""Find the series selectors in PromQL text, with the functions that stand around each.

Not a parser: it knows strings, names, braces and parentheses, which is enough to tell which series
an expression reads and how.  Whether the expression is valid is for Prometheus to say.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from firsttoken.promql import quote

__all__ = ["Label", "Selector", "selectors"]

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:.]*)
    |(?P<variable>\$\{[^}]*\}|\$\w+|\[\[\w+\]\])
    |(?P<number>[0-9][0-9a-zA-Z_.]*)
    |(?P<space>\s+)
    |(?P<comment>\#[^\n]*)
    |(?P<operator>=~|!~|!=|==|>=|<=|.)""",
    re.VERBOSE,
)
_LABEL = re.compile(
    r"""\s*(?P<name>[a-zA-Z_][a-zA-Z0-9_.]*)\s*(?P<operator>=~|!~|!=|=)\s*
    (?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*,?""",
    re.VERBOSE,
)
_GROUPING = frozenset({"on", "ignoring", "by", "without", "group_left", "group_right"})
_WORDS = _GROUPING | {"and", "or", "unless", "bool", "offset", "inf", "nan"}


@dataclass(frozen=True, slots=True)
class Label:
    """One matcher of a selector, its value unquoted."""

    name: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """One vector or matrix selector; ``name`` is empty when ``__name__`` is matched in braces.

    ``window`` is what stands in brackets, ``functions`` what it stands in, the nearest first;
    ``pinned`` whether it is read at one moment whatever the time asked for (``@``).
    """

    name: str
    labels: tuple[Label, ...]
    window: str
    functions: tuple[str, ...]
    pinned: bool = False

    def matches(self, known: str) -> bool:
        """Whether the selector can find a series of this name."""
        if self.name:
            return self.name == known
        for label in self.labels:
            if label.name == "__name__":
                fits = re.fullmatch(label.value, known) is not None
                return fits if label.operator == "=~" else label.value == known
        return True

    def label(self, name: str) -> Label | None:
        """The first matcher of that label."""
        return next((label for label in self.labels if label.name == name), None)

    @property
    def text(self) -> str:
        """The selector without its window, as PromQL."""
        body = ", ".join(f"{x.name}{x.operator}{quote(x.value)}" for x in self.labels)
        return f"{self.name}{{{body}}}" if body else self.name


def _tokens(expression: str) -> list[tuple[str, str]]:
    return [
        (str(match.lastgroup), match.group())
        for match in _TOKEN.finditer(expression)
        if match.lastgroup not in ("space", "comment")
    ]


def _closing(tokens: list[tuple[str, str]], start: int, close: str) -> int:
    for index in range(start, len(tokens)):
        if tokens[index][1] == close:
            return index
    return len(tokens) - 1


def _labels(body: str) -> tuple[Label, ...]:
    return tuple(
        Label(m["name"], m["operator"], m["value"][1:-1].replace("\\\\", "\\"))
        for m in _LABEL.finditer(body)
    )


@lru_cache(maxsize=4096)
def selectors(expression: str) -> tuple[Selector, ...]:
    """Every selector of the expression, in order."""
    return tuple(_found(expression))


def _found(expression: str) -> Iterator[Selector]:
    tokens = _tokens(expression)
    functions: list[str] = []
    index = 0
    while index < len(tokens):
        kind, word = tokens[index]
        following = tokens[index + 1][1] if index + 1 < len(tokens) else ""
        if kind == "name" and word.lower() in _GROUPING:
            index = _closing(tokens, index, ")") + 1 if following == "(" else index + 1
            continue
        if kind == "name" and word.lower() not in _WORDS and following in ("(", "by", "without"):
            index = _enter(tokens, index, functions, word)
            continue
        if word == "[" and kind == "operator":  # a subquery's window
            index = _closing(tokens, index, "]") + 1
            continue
        if word == "(":
            functions.insert(0, "")
        elif word == ")" and functions:
            functions.pop(0)
        elif (kind == "name" and word.lower() not in _WORDS) or word == "{":
            found, index = _selector(tokens, index, functions)
            yield found
            continue
        index += 1


def _enter(tokens: list[tuple[str, str]], index: int, functions: list[str], word: str) -> int:
    """Enter a function or an aggregation, past ``by (...)`` when it stands before the body."""
    functions.insert(0, word)
    if tokens[index + 1][1] != "(":
        index = _closing(tokens, index, ")")
    return index + 2


def _selector(
    tokens: list[tuple[str, str]], index: int, functions: list[str]
) -> tuple[Selector, int]:
    name, labels, window = "", "", ""
    if tokens[index][0] == "name":
        name = tokens[index][1]
        index += 1
    if index < len(tokens) and tokens[index][1] == "{":
        end = _closing(tokens, index, "}")
        labels = "".join(text for _, text in tokens[index + 1 : end])
        index = end + 1
    if index < len(tokens) and tokens[index][1] == "[":
        end = _closing(tokens, index, "]")
        window = "".join(text for _, text in tokens[index + 1 : end])
        index = end + 1
    around = tuple(function for function in functions if function)
    pinned = index < len(tokens) and tokens[index][1] == "@"
    return Selector(name, _labels(labels), window, around, pinned), index
