"""Server-sent events out of bytes, as the HTML standard has them, with no input or output.

Lines may end in LF, CRLF or CR, and the bytes may be split anywhere.
"""

from typing import NamedTuple

__all__ = ["Decoder", "Event"]

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its name (empty for the usual ``message``) and its data lines joined by LF."""

    name: str
    data: str


class Decoder:
    """Takes bytes as they come and gives the events that they complete.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    def __init__(self) -> None:
        self._start = True
        self._after_cr = False
        self._rest = b""
        self._pieces: list[bytes] = []  # of a line that is longer than one part
        self._name = ""
        self._data: list[str] = []

    @property
    def between(self) -> bool:
        """Whether nothing of an event has come since the last one (and the stream has begun)."""
        begun = self._start or self._rest or self._pieces or self._data or self._name
        return not (begun or self._after_cr)

    @property
    def fresh(self) -> bool:
        """Whether nothing has come at all."""
        return self._start and not self._rest

    def feed(self, data: bytes) -> list[Event]:
        """The events that ``data`` completes."""
        one = data.startswith(b"data: ") and data.endswith(b"\n\n") and data.count(b"\n") == 2
        if one and b"\r" not in data and (self.between or self.fresh):  # nearly always
            self._start = False
            return [Event("", data[6:-2].decode(errors="replace"))]
        return self._lines(data)

    def _lines(self, data: bytes) -> list[Event]:
        if self._start:
            data = self._rest + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._rest = data
                return []
            self._start, self._rest = False, b""
            data = data.removeprefix(_BOM)
        if not data:
            return []
        if self._after_cr:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\n" not in data and b"\r" not in data:
            self._pieces.append(data)
            return []
        if self._pieces:
            self._rest += b"".join(self._pieces)
            self._pieces.clear()
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = []
        for line in lines:
            if line:
                self._field(line)
            elif self._data or self._name:
                if self._data:
                    events.append(Event(self._name, "\n".join(self._data)))
                self._name, self._data = "", []
        return events

    def _field(self, line: bytes) -> None:
        if line.startswith(b"data: "):  # nearly every line
            self._data.append(line[6:].decode(errors="replace"))
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value.decode(errors="replace"))
        elif field == b"event":
            self._name = value.decode(errors="replace")
