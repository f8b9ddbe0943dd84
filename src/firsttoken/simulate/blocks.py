"""A finite pool of KV blocks with a prefix cache: reference counts, hashes, least recently used.

A block is in use (some request holds it), or free.  A free block may still hold the keys and
values of a prefix; it is handed out again only when no block without content is left before it in
the order of last use, as in vLLM's block pool.
"""

from collections import OrderedDict
from collections.abc import Sequence

__all__ = ["BlockPool", "chain_hashes"]


def chain_hashes(tokens: Sequence[int], block_size: int, *, parent: int = 0) -> list[int]:
    """One hash for each full block of ``tokens``, each covering all tokens before it too."""
    hashes = []
    for start in range(0, len(tokens) - block_size + 1, block_size):
        parent = hash((parent, tuple(tokens[start : start + block_size])))
        hashes.append(parent)
    return hashes


class BlockPool:
    """``total`` blocks, of which ``withheld`` are kept from use (a fault)."""

    def __init__(self, total: int, *, caching: bool = True) -> None:
        self.total = total
        self.caching = caching
        self.withheld = 0
        self._references = [0] * total
        self._hash_of: list[int | None] = [None] * total
        self._block_of: dict[int, int] = {}
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(total))

    @property
    def free(self) -> int:
        """Blocks that can still be handed out."""
        return max(0, len(self._free) - self.withheld)

    @property
    def used(self) -> int:
        """Blocks that some request holds."""
        return self.total - len(self._free)

    @property
    def usage(self) -> float:
        """Share of the blocks that cannot be handed out, 0 to 1."""
        return (self.total - self.free) / self.total

    def cached(self, hashes: Sequence[int]) -> list[int]:
        """The blocks that hold the longest known beginning of a sequence of block hashes."""
        found: list[int] = []
        for value in hashes:
            block = self._block_of.get(value)
            if block is None:
                break
            found.append(block)
        return found

    def acquire(self, cached: Sequence[int], new: int) -> list[int] | None:
        """Hold the ``cached`` blocks and ``new`` others; None, and no change, if there are too few.

        Blocks are returned in the order of the sequence, the cached ones first.
        """
        revived = sum(1 for block in cached if self._references[block] == 0)
        if new + revived > self.free:
            return None
        for block in cached:
            if self._references[block] == 0:
                del self._free[block]
            self._references[block] += 1
        taken = list(cached)
        for _ in range(new):
            block, _nothing = self._free.popitem(last=False)
            self._forget(block)
            self._references[block] = 1
            taken.append(block)
        return taken

    def remember(self, block: int, value: int) -> None:
        """Record that a full block holds the sequence with this hash."""
        if self.caching and value not in self._block_of and self._hash_of[block] is None:
            self._block_of[value] = block
            self._hash_of[block] = value

    def release(self, blocks: Sequence[int]) -> None:
        """Let go of a request's blocks; the end of a sequence is forgotten before its beginning."""
        for block in reversed(blocks):
            self._references[block] -= 1
            if self._references[block] == 0:
                self._free[block] = None
                if self._hash_of[block] is None:
                    self._free.move_to_end(block, last=False)

    def _forget(self, block: int) -> None:
        value = self._hash_of[block]
        if value is not None:
            del self._block_of[value]
            self._hash_of[block] = None
