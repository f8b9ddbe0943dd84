"""What a run is to ask, request by request, before anything is sent.

A workload yields sessions; a session is one request, or the turns of a conversation.  Arrivals
give each session its moment; later turns follow the turn before them after a pause.  Everything
is fixed by the seed: the same seed is the same plan, on any number of processes.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

__all__ = [
    "Blocks",
    "Chat",
    "Planned",
    "Prompt",
    "Session",
    "Synthetic",
    "Text",
    "TokenIds",
    "Workload",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Synthetic:
    """A made-up prompt of exactly ``tokens`` tokens, unlike every other from its start.

    Its first ``shared`` tokens are the same for all prompts of one ``group``.
    """

    tokens: int
    shared: int = 0
    group: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """A given text; ``tokens`` is its length where that is known."""

    text: str
    tokens: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class TokenIds:
    """Given token ids; only the completions API takes them."""

    ids: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """How many there are."""
        return len(self.ids)


@dataclasses.dataclass(frozen=True, slots=True)
class Chat:
    """Given messages, as the chat API takes them; ``tokens`` with the template, where known."""

    messages: tuple[Mapping[str, Any], ...]
    tokens: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Blocks:
    """A prompt of ``tokens`` tokens of which only the hashes of its blocks are known.

    Prompts whose first hashes are equal begin with the same tokens, ``size`` for each hash.
    """

    tokens: int
    hashes: tuple[int, ...]
    size: int = 512


Prompt = Synthetic | Text | TokenIds | Chat | Blocks


@dataclasses.dataclass(frozen=True, slots=True)
class Planned:
    """One request of the plan.

    ``intended``: when it is due, in seconds from the start; None in a closed loop, and for a turn
    that follows another.  ``think``: the pause before it since the turn before it ended, in
    seconds.  ``output_tokens`` None leaves the length of the answer to the server.  ``model`` None
    is the run's model.  A later turn's prompt is what the user says next: the conversation until
    then, with the answers that came, is put before it.  ``headers`` and ``extra_body`` come on top
    of the load's.
    """

    prompt: Prompt
    output_tokens: int | None
    index: int = 0
    intended: float | None = None
    workload: str = "synthetic"
    model: str | None = None
    session: str | None = None
    turn: int = 0
    think: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    extra_body: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def numbered(self, index: int, turn: int, intended: float | None) -> "Planned":
        """The same with its numbers.  ``dataclasses.replace`` takes twice as long."""
        return Planned(
            self.prompt,
            self.output_tokens,
            index,
            intended,
            self.workload,
            self.model,
            self.session,
            turn,
            self.think,
            self.headers,
            self.extra_body,
        )


Session = tuple[Planned, ...]
"""The turns of one conversation, in order; most often there is one."""


class Workload(Protocol):
    """What is asked, apart from when: one implementation for each kind of source."""

    @property
    def longest(self) -> int | None:
        """The most tokens, prompt and answer, that a request can have; None where not known."""
        ...

    @property
    def models(self) -> frozenset[str]:
        """The models that are asked for by name, beside the run's own."""
        ...

    @property
    def skipped(self) -> Mapping[str, int]:
        """What of its source cannot be asked, counted by reason."""
        ...

    def sessions(self, seed: int) -> Iterator[Session]:
        """Session after session, the same for the same seed; endless unless the source ends.

        ``index`` and ``intended`` are set by who calls.
        """
        ...
