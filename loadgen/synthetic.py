"""Sessions of made-up requests: lengths, common beginnings, conversations, models."""

import itertools
from collections.abc import Iterator

from firsttoken.loadgen import plan
from firsttoken.loadgen.distributions import Distribution, draw, largest
from firsttoken.loadgen.kinds import Conversation, Synthetic, pause
from firsttoken.loadgen.plan import Planned, Session
from firsttoken.loadgen.streams import Choice, stream, zipf

__all__ = ["SyntheticWorkload"]


class SyntheticWorkload:
    """Made-up prompts and answers; ``prompt`` and ``output`` where the kind says no lengths."""

    def __init__(self, kind: Synthetic, prompt: Distribution, output: Distribution) -> None:
        self._kind = kind
        self._prompt = kind.prompt_tokens or prompt
        self._output = kind.output_tokens or output
        self._name = kind.name or "synthetic"

    @property
    def longest(self) -> int | None:
        """The most tokens, prompt and answer, that a request can have."""
        answer = largest(self._output)
        conversation = self._kind.conversation
        first = largest(self._prompt) + answer
        if conversation is None:
            return first
        later = largest(conversation.message_tokens or self._prompt) + answer
        most = first + (largest(conversation.turns) - 1) * later
        # A first turn is asked whatever its length.
        return min(most, max(first, conversation.longest)) if conversation.longest else most

    @property
    def models(self) -> frozenset[str]:
        """The models that are asked for by name."""
        return frozenset(self._kind.models)

    @property
    def skipped(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def sessions(self, seed: int) -> Iterator[Session]:
        """Session after session, without end."""
        sizes = stream(seed, "lengths")
        prefix, models = self._kind.prefix, tuple(self._kind.models)
        group = Choice(zipf(prefix.groups, prefix.skew) if prefix else [1], stream(seed, "groups"))
        model = Choice(tuple(self._kind.models.values()) or [1], stream(seed, "models"))
        talk = _Talk(self._kind.conversation, seed) if self._kind.conversation else None
        for number in itertools.count():
            prompt, output = draw(self._prompt, sizes), draw(self._output, sizes)
            first = Planned(
                plan.Synthetic(
                    prompt,
                    min(prefix.tokens, prompt) if prefix else 0,
                    f"{self._name}:{group()}" if prefix else "",
                ),
                output,
                workload=self._name,
                model=models[model()] if models else None,
                session=f"{self._name}-{number}" if talk else None,
            )
            if talk is None:
                yield (first,)
            else:
                used = prompt + output
                yield (first, *talk.later(first, used, self._prompt, self._output))


class _Talk:
    """Draws the turns after the first, and the pauses before them."""

    def __init__(self, settings: Conversation, seed: int) -> None:
        self._settings = settings
        self._turns = stream(seed, "turns")
        self._pauses = stream(seed, "pauses")
        self._sizes = stream(seed, "messages")

    def later(
        self, first: Planned, total: int, prompt: Distribution, output: Distribution
    ) -> Iterator[Planned]:
        """The turns of a session that began with ``first``, which has ``total`` tokens."""
        messages, longest = self._settings.message_tokens or prompt, self._settings.longest
        for turn in range(1, draw(self._settings.turns, self._turns)):
            size, answer = draw(messages, self._sizes), draw(output, self._sizes)
            think = pause(self._settings.think, self._pauses)
            total += size + answer
            if longest is not None and total > longest:
                return
            yield Planned(
                plan.Synthetic(size),
                answer,
                workload=first.workload,
                model=first.model,
                session=first.session,
                turn=turn,
                think=think,
            )
