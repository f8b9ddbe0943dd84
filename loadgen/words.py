"""The words of made-up prompts: which are common to whom, and how many make the count exact.

Every draw has a stream of its own, named by what it is for: a group's beginning, a block of a
trace, one request.  So each process of a run writes the same prompts, whatever its share.
"""

import functools
import hashlib
import random
import struct

from firsttoken.loadgen.plan import Blocks, Synthetic

__all__ = ["Words"]

_BLOCKS_KEPT = 4096
_DRAWN = struct.Struct("=Q14I")
"""What is drawn for each prompt: words that make it unlike the others from its start, and which
piece of the pool comes after them."""
_POOL = 1 << 16
"""Words of which the rest of a prompt is a piece."""


class Words:
    """Numbers of words below ``known``; ``key`` makes one run's texts unlike another's.

    ``overhead`` tokens of each prompt are the chat template's, so that many words fewer are drawn.
    """

    def __init__(self, known: int, overhead: int, key: str) -> None:
        self._known = known
        self._overhead, self._key = overhead, key
        self._pool = random.Random(f"{key}:pool").choices(range(known), k=_POOL)
        self._common = functools.lru_cache(_BLOCKS_KEPT)(self._draw)

    def of(self, prompt: Synthetic | Blocks, index: int, *, first: bool = True) -> list[int]:
        """The words of request ``index``; those of a later turn have no template to make up for."""
        overhead = self._overhead if first else 0
        if isinstance(prompt, Blocks):
            return self._blocks(prompt, overhead)
        count = max(1, prompt.tokens - overhead)
        shared = min(prompt.shared, count)
        words = list(self._common(f"group:{prompt.group}", shared)) if shared else []
        return words + list(self._draw(f"request:{index}", count - shared))

    def _blocks(self, prompt: Blocks, overhead: int) -> list[int]:
        """A block's words depend on its hash alone, so that equal beginnings are equal."""
        words: list[int] = []
        for value in prompt.hashes:
            words += self._common(f"block:{value}", prompt.size)
        # The template counts as the beginning of the first block: all prompts have it.
        return words[min(overhead, prompt.tokens - 1) : prompt.tokens]

    def _draw(self, name: str, count: int) -> tuple[int, ...]:
        # A generator of its own for each request takes longer than all else of its prompt.
        drawn = hashlib.blake2b(f"{self._key}:{name}".encode(), digest_size=_DRAWN.size).digest()
        at, *numbers = _DRAWN.unpack(drawn)
        start = [number % self._known for number in numbers[:count]]
        left = count - len(start)
        if left > _POOL // 2:
            return (*start, *random.Random(drawn).choices(range(self._known), k=left))
        at %= _POOL - left
        return (*start, *self._pool[at : at + left])
