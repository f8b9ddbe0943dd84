"""OTLP/JSON: the encoding of HTTP bodies and of files, one export request a line.

It is protobuf's JSON mapping but for trace and span ids, which are hexadecimal, and enums, which
are numbers.  Such files are what the OpenTelemetry Collector's file exporter writes and its file
receiver reads.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from google.protobuf import json_format
from google.protobuf.message import Message

from firsttoken.errors import ConfigError
from firsttoken.otlp.signals import SIGNALS, Signal, signal_of

__all__ = ["OtlpFile", "Writer", "from_json", "read", "to_json"]

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def to_json(message: Message) -> str:
    """A message as one line of OTLP/JSON."""
    data = json_format.MessageToDict(message, use_integers_for_enums=True)
    return json.dumps(_ids(data, _hex), separators=(",", ":"), ensure_ascii=False)


def from_json(text: str | bytes, signal: Signal) -> Message:
    """An export request of ``signal``; raises ValueError when the text is none."""
    return _parse(json.loads(text), signal)


def _parse(data: Any, signal: Signal) -> Message:
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - of the text, not of a type
    try:
        return json_format.ParseDict(
            _ids(data, _base64), signal.request(), ignore_unknown_fields=True
        )
    except json_format.ParseError as exc:
        raise ValueError(f"not OTLP/JSON: {exc}") from None


def _ids(node: Any, convert: Callable[[str], str]) -> Any:
    """The same JSON with every id converted."""
    if isinstance(node, dict):
        return {
            key: convert(value) if key in _IDS and isinstance(value, str) else _ids(value, convert)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_ids(item, convert) for item in node]
    return node


def _hex(text: str) -> str:
    return base64.b64decode(text).hex()


def _base64(text: str) -> str:
    try:
        return base64.b64encode(bytes.fromhex(text)).decode()
    except (ValueError, binascii.Error):
        raise ValueError(f"{text[:40]!r} is no hexadecimal id") from None


@dataclass(frozen=True, slots=True)
class OtlpFile:
    """What a file held: export requests in their order, a sentence for each line that is none."""

    requests: tuple[Message, ...]
    problems: tuple[str, ...] = ()
    lines: int = field(default=0)


def read(path: Path) -> OtlpFile:
    """The export requests of a file, one a line, or the whole file one of them.

    A line that is none costs itself only.  Raises ConfigError where the file cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as exc:
        raise ConfigError(path, [f"cannot be read: {exc.strerror}"]) from None
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].strip() == "{":  # one request, written for people
        lines = [text]
    requests, problems = [], []
    for number, line in enumerate(lines, 1):
        try:
            data = json.loads(line)
            signal = _signal(data)
            requests.append(_parse(data, signal))
        except ValueError as exc:
            problems.append(f"line {number}: {_short(exc)}")
    return OtlpFile(tuple(requests), tuple(problems), len(lines))


def _signal(data: Any) -> Signal:
    for signal in SIGNALS:
        if isinstance(data, dict) and signal.key in data:
            return signal
    keys = ", ".join(signal.key for signal in SIGNALS)
    raise ValueError(f"not an OTLP export request (expected one of {keys})")


def _short(exc: ValueError) -> str:
    return "not JSON" if isinstance(exc, json.JSONDecodeError) else str(exc).splitlines()[0][:200]


class Writer:
    """Appends export requests to a file as they come, a line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8", buffering=1)
        except OSError as exc:
            raise ConfigError(self._path, [f"cannot be written: {exc.strerror}"]) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, message: Message) -> None:
        """Write one export request; raises ConfigError when the disk does not take it."""
        assert self._file is not None, "used outside its with block"  # noqa: S101
        signal_of(message)
        try:
            self._file.write(to_json(message) + "\n")
        except OSError as exc:
            raise ConfigError(self._path, [f"cannot be written: {exc.strerror}"]) from None
