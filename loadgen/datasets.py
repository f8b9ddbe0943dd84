"""Sessions from files of texts: conversations in ShareGPT's form, OpenAI's batch input."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from firsttoken.errors import ConfigError
from firsttoken.loadgen.batchfile import Request, requests
from firsttoken.loadgen.distributions import draw
from firsttoken.loadgen.kinds import Batch, ShareGpt, pause
from firsttoken.loadgen.plan import Chat, Planned, Prompt, Session, Text, TokenIds
from firsttoken.loadgen.sharegpt import Conversation, conversations, objects
from firsttoken.loadgen.streams import Choice, stream
from firsttoken.loadgen.trace import Skipped

__all__ = ["BatchWorkload", "ShareGptWorkload"]

Api = Literal["chat", "completions"]
Count = Callable[[str], int]
T = TypeVar("T")


class ShareGptWorkload:
    """Conversations that people had; an answer is as long as the one that they got.

    ``count`` says how many tokens a text has.  Raises ConfigError for a file without any.
    """

    def __init__(self, kind: ShareGpt, api: Api, count: Count) -> None:
        self._kind, self._api, self._count = kind, api, count
        self._name = kind.name or "sharegpt"
        text = _text(kind.file)
        try:
            found = list(conversations(objects(text)))
        except ValueError as exc:
            raise ConfigError(kind.file, [str(exc)]) from None
        self.conversations = tuple(item for item in found if item is not None)
        left_out = len(found) - len(self.conversations)
        self.skipped = {"conversations without an answer": left_out} if left_out else {}
        if not self.conversations:
            raise ConfigError(
                kind.file, ["holds no conversation in which something is asked and answered"]
            )

    @property
    def longest(self) -> int | None:
        """Not known: the server's chat template has its part in it."""
        return None

    @property
    def models(self) -> frozenset[str]:
        """The models that are asked for by name."""
        return frozenset(self._kind.models)

    def sessions(self, seed: int) -> Iterator[Session]:
        """All conversations in an order that the seed fixes, then again in another."""
        sizes, pauses = stream(seed, "lengths"), stream(seed, "pauses")
        models = tuple(self._kind.models)
        model = Choice(tuple(self._kind.models.values()) or [1], stream(seed, "models"))
        for item in _around(self.conversations, stream(seed, "order")):
            chosen = models[model()] if models else None
            yield tuple(self._turns(item, chosen, sizes, pauses))

    def _turns(
        self, item: Conversation, model: str | None, sizes: random.Random, pauses: random.Random
    ) -> Iterator[Planned]:
        talk = self._kind.turns == "all"
        wanted = self._kind.output_tokens
        for number, turn in enumerate(item.turns if talk else item.turns[:1]):
            yield Planned(
                self._prompt(item.system if number == 0 else None, turn.question),
                draw(wanted, sizes) if wanted else max(1, self._count(turn.answer)),
                workload=self._name,
                model=model,
                session=item.name if talk else None,
                turn=number,
                think=pause(self._kind.think, pauses) if number else 0.0,
            )

    def _prompt(self, system: str | None, question: str) -> Prompt:
        if self._api == "completions":
            return Text(question)
        asked = {"role": "user", "content": question}
        return Chat(({"role": "system", "content": system}, asked) if system else (asked,))


class BatchWorkload:
    """Requests of a batch file, in its order, again from the beginning at its end.

    ``one_model``: all are for the run's model, whatever the file says.  Raises ConfigError for a
    file without any request, or whose requests go to the other API.
    """

    def __init__(self, kind: Batch, api: Api, *, one_model: bool) -> None:
        self._kind, self._one_model = kind, one_model
        self._name = kind.name or "batch"
        found = list(requests(_text(kind.file).splitlines()))
        skipped = Counter(item.reason for item in found if isinstance(item, Skipped))
        self.requests = tuple(item for item in found if isinstance(item, Request))
        self.skipped = dict(skipped)
        if not self.requests:
            why = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
            raise ConfigError(
                kind.file, [f"holds no request{f' (left out: {why})' if why else ''}"]
            )
        path = "/v1/chat/completions" if api == "chat" else "/v1/completions"
        other = next((item.path for item in self.requests if item.path != path), None)
        if other:
            wanted = "completions" if api == "chat" else "chat"
            raise ConfigError(kind.file, [f"holds requests for {other}: set api: {wanted}"])

    @property
    def longest(self) -> int | None:
        """Not known: the texts' tokens are the server's to count."""
        return None

    @property
    def models(self) -> frozenset[str]:
        """The models that are asked for by name."""
        return frozenset(self._kind.models or filter(None, map(self._model, self.requests)))

    def sessions(self, seed: int) -> Iterator[Session]:
        """One request a session, round and round; the answers' lengths are the file's matter."""
        models = tuple(self._kind.models)
        model = Choice(tuple(self._kind.models.values()) or [1], stream(seed, "models"))
        while True:
            for item in self.requests:
                chosen = models[model()] if models else self._model(item)
                yield (self._planned(item, chosen),)

    def _planned(self, item: Request, model: str | None) -> Planned:
        ours = {"model", "messages", "prompt", "stream", "stream_options"}
        return Planned(
            _asked(item.body),
            None,
            workload=self._name,
            model=model,
            extra_body={key: value for key, value in item.body.items() if key not in ours},
        )

    def _model(self, item: Request) -> str | None:
        model = item.body.get("model")
        return str(model) if model and not self._one_model else None


def _asked(body: dict[str, Any]) -> Prompt:
    prompt = body.get("messages") or body["prompt"]
    if isinstance(prompt, str):
        return Text(prompt)
    if all(isinstance(item, int) for item in prompt):
        return TokenIds(tuple(prompt))
    return Chat(tuple(prompt))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(path, ["is not UTF-8 text"]) from None
    except OSError as exc:
        raise ConfigError(path, [f"cannot be read: {exc.strerror}"]) from None


def _around(items: Sequence[T], order: random.Random) -> Iterator[T]:
    """All items in random order, then all again in another, without end."""
    while True:
        yield from order.sample(items, len(items))
