"""Conversations in ShareGPT's form: what people asked, what was answered, turn by turn.

An array of objects, or one object a line; ``conversations`` (``from``: human or gpt, ``value``) as
in the files that fine-tuning and vLLM's benchmark use, or ``messages`` (``role``, ``content``).
"""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

__all__ = ["Conversation", "Turn", "conversations", "objects"]

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "assistant": "assistant",
    "system": "system",
}


class Turn(NamedTuple):
    """A question and the answer that it got."""

    question: str
    answer: str


class Conversation(NamedTuple):
    """A conversation of at least one turn; ``system`` is the instruction before it, if any."""

    name: str
    system: str | None
    turns: tuple[Turn, ...]


def objects(text: str) -> Iterator[Any]:
    """The values of a JSON array, or of one JSON value a line.  Raises ValueError (line, why)."""
    if text.lstrip()[:1] == "[":
        yield from json.loads(text)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as exc:
                raise ValueError(f"line {number}: not JSON: {exc}") from None


def conversations(found: Iterable[Any]) -> Iterator[Conversation | None]:
    """A conversation for each object; None for one in which nothing is asked and answered.

    Turns are taken up to the first that has no answer.
    """
    for number, item in enumerate(found):
        messages = _messages(item)
        system = messages[0][1] if messages and messages[0][0] == "system" else None
        turns: list[Turn] = []
        for (first, question), (second, answer) in pairwise(messages):
            if (first, second) == ("user", "assistant") and question.strip() and answer.strip():
                turns.append(Turn(question, answer))
            elif turns and (first, second) != ("assistant", "user"):
                break
        name = str(item.get("id", number)) if isinstance(item, dict) else str(number)
        yield Conversation(name, system, tuple(turns)) if turns else None


def _messages(item: Any) -> list[tuple[str, str]]:
    if not isinstance(item, dict):
        return []
    listed = item.get("conversations", item.get("messages", item.get("conversation")))
    found = []
    for message in listed if isinstance(listed, list) else []:
        if isinstance(message, dict):
            who = message.get("from", message.get("role"))
            text = message.get("value", message.get("content"))
            if isinstance(who, str) and isinstance(text, str):
                found.append((_ROLES.get(who.lower(), who.lower()), text))
    return found
