"""A model server's log as lines, whatever the bytes are: bounded in memory, nothing raises."""

from collections.abc import Iterator

__all__ = ["LONGEST", "Splitter"]

LONGEST = 64 * 1024
"""As much of a line is kept, in bytes; what the log says of itself is far shorter."""


class Splitter:
    """Cuts a stream of bytes into lines; a longer line than ``longest`` is kept in part."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._rest = bytearray()
        self._skipping = False
        self.cut = 0
        """Lines of which only the beginning was kept."""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that are complete now, without their breaks."""
        start = 0
        while (stop := data.find(b"\n", start)) >= 0:
            yield from self._end(data[start:stop])
            start = stop + 1
        self._keep(data[start:])

    def close(self) -> Iterator[str]:
        """The last line, where nothing ended it."""
        if self._rest or self._skipping:
            yield from self._end(b"")

    def _keep(self, data: bytes) -> None:
        if self._skipping:
            return
        room = self._longest - len(self._rest)
        self._rest += data[:room]
        self._skipping = len(data) > room

    def _end(self, data: bytes) -> Iterator[str]:
        self._keep(data)
        self.cut += self._skipping
        line, self._skipping = bytes(self._rest), False
        self._rest.clear()
        yield line.decode("utf-8", errors="replace").rstrip("\r")
