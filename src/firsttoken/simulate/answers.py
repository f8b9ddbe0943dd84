"""What the simulated model says: common words from a seeded generator, of documented length."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from firsttoken.simulate.parameters import Parameters
from firsttoken.simulate.tokenizer import EOS, WORD_IDS, Tokenizer

__all__ = ["Answer", "Wish", "Writer"]

_STREAM = 8192  # words that are drawn once; an answer is a cyclic piece of them


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks of an answer: its length in tokens, and where it stops."""

    max_tokens: int
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The tokens of an answer and the text that each adds."""

    tokens: tuple[int, ...]
    texts: tuple[str, ...]
    finish_reason: Literal["stop", "length"]
    stop_reason: str | None = None


class Writer:
    """Draws answers; two writers with one seed draw the same ones in the same order."""

    def __init__(self, parameters: Parameters, seed: int) -> None:
        self._parameters = parameters
        self._random = random.Random(seed)
        self._words = tuple(self._random.choices(WORD_IDS, k=_STREAM))
        tokenizer = Tokenizer()
        self._texts = {word: tokenizer.token(word) for word in WORD_IDS} | {EOS: ""}

    def draw(self, wish: Wish) -> Answer:
        """An answer; with ``wish.seed`` the same one whenever the same is asked for."""
        source = self._random if wish.seed is None else random.Random(wish.seed)
        start = source.randrange(_STREAM)
        natural = self._natural_length(source)
        words = wish.max_tokens
        ends = not wish.ignore_eos and max(natural, wish.min_tokens) < wish.max_tokens
        if ends:
            words = max(natural, wish.min_tokens)
        tokens = self._cycle(start, words)
        if ends:
            tokens = (*tokens[:-1], EOS) if words > wish.min_tokens else (*tokens, EOS)
        texts = tuple([self._texts[token] for token in tokens])
        if wish.stop:
            stopped = _stopped(tokens, texts, wish)
            if stopped is not None:
                return stopped
        return Answer(tokens, texts, "stop" if ends else "length")

    def failing(self, share: float) -> bool:
        """Whether the next request is one of the share that fails."""
        return share > 0 and self._random.random() < share

    def _natural_length(self, source: random.Random) -> int:
        # Drawn even where it is not used, so that one request's options do not shift the others.
        factor = source.lognormvariate(0.0, self._parameters.output_tokens_sigma)
        return max(1, round(self._parameters.output_tokens_median * factor))

    def _cycle(self, start: int, count: int) -> tuple[int, ...]:
        words = self._words[start : start + count]
        while len(words) < count:
            words += self._words[: count - len(words)]
        return words


def _stopped(tokens: Sequence[int], texts: Sequence[str], wish: Wish) -> Answer | None:
    """The answer cut before the first stop string, which is itself not said; as vLLM does it."""
    text = ""
    for count, piece in enumerate(texts, 1):
        text += piece
        if count < wish.min_tokens:
            continue
        found = [(text.find(stop), stop) for stop in wish.stop if stop in text]
        if not found:
            continue
        cut, reason = min(found)
        kept = []
        position = 0
        for part in texts[:count]:
            kept.append(part[: max(0, cut - position)])
            position += len(part)
        return Answer(tuple(tokens[:count]), tuple(kept), "stop", reason)
    return None
