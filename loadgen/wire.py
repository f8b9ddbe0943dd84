"""The parts of HTTP/1.1 that a client of one server needs, with no input or output (RFC 9112)."""

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Framer", "Head", "WireError", "parse_head"]

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: .*)?")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_CHUNK = re.compile(rb"(?=0*[1-9A-Fa-f])([0-9A-Fa-f]{1,15})\r\n")
_LINE_MAX = 8192


class WireError(ValueError):
    """Raised when what came is not HTTP/1.1."""


class Head(NamedTuple):
    """Status and headers (names in lower case) of a response, and whether it may be the last."""

    status: int
    headers: dict[str, str]
    keep_alive: bool


@lru_cache(256)
def parse_head(data: bytes) -> Head:
    """The head of a response, given without its closing blank line.  Raises WireError.

    Most servers give all responses of one second the same head.
    """
    status_line, *lines = data.split(b"\r\n")
    found = _STATUS.fullmatch(status_line)
    if found is None:
        raise WireError("not an HTTP/1.1 answer")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name != name.strip():
            raise WireError("malformed header")
        headers[name.lower()] = value.strip()
    connection = headers.get("connection", "").lower()
    keep_alive = "close" not in connection and (
        found.group(1) == b"1" or "keep-alive" in connection
    )
    return Head(int(found.group(2)), headers, keep_alive)


class Framer:
    """Finds the end of a body, and takes the chunk framing off it, while the bytes come."""

    def __init__(self, head: Head) -> None:
        coding = head.headers.get("transfer-encoding", "").lower()
        length = head.headers.get("content-length")
        self.complete = False
        self.until_close = False
        self.chunked = False
        self._left = 0  # bytes of the body or chunk that are still to come
        self._line = b""  # a chunk-size or trailer line of which a part has come
        self._state = "size"
        if head.status in {204, 304}:
            self.complete = True
        elif coding:
            if coding != "chunked":
                raise WireError(f"unknown transfer coding {coding!r}")
            self.chunked = True
        elif length is not None:
            if not length.isascii() or not length.isdigit():
                raise WireError("malformed content-length")
            self._left = int(length)
            self.complete = self._left == 0
        else:
            self.until_close = True

    @property
    def between_chunks(self) -> bool:
        """Whether a new chunk is to begin."""
        return self.chunked and self._state == "size" and not self._line

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body in ``data``; sets ``complete`` at its end.  Raises WireError."""
        if self.chunked:
            return self._chunks(data)
        if self.until_close:
            return data
        if len(data) > self._left:
            raise WireError("more came than content-length said")
        self._left -= len(data)
        self.complete = self._left == 0
        return data

    def _chunks(self, data: bytes) -> bytes:
        out = []
        at, end = 0, len(data)
        # Nearly always whole chunks come, most often one and nothing else.
        while self.between_chunks and (found := _CHUNK.match(data, at)):
            start = found.end()
            stop = start + int(found[1], 16)
            if data[stop : stop + 2] != b"\r\n":
                break
            out.append(data[start:stop])
            at = stop + 2
        while at < end:
            if self.complete:
                raise WireError("more came after the last chunk")
            if self._state == "data":
                piece = data[at : at + self._left]
                out.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = "break"
                continue
            stop = data.find(b"\n", at)
            if stop < 0:
                self._line += data[at:]
                if len(self._line) > _LINE_MAX:
                    raise WireError("a line of the chunk framing is too long")
                break
            line = self._line + data[at:stop]
            self._line, at = b"", stop + 1
            self._framing(line.removesuffix(b"\r"))
        return out[0] if len(out) == 1 else b"".join(out)

    def _framing(self, line: bytes) -> None:
        """Take one line between chunks: a size, the break after a chunk, or a trailer."""
        if self._state == "size":
            size = line.partition(b";")[0].strip()
            if not _SIZE.fullmatch(size):
                raise WireError("malformed chunk size")
            self._left = int(size, 16)
            self._state = "data" if self._left else "trailer"
        elif self._state == "break":
            if line:
                raise WireError("a chunk is longer than it said")
            self._state = "size"
        elif not line:
            self.complete = True
