"""One line of a log: when, how loud, from which process, and what it says.

Read are vLLM's plain text of three generations, its JSON, uvicorn's lines between them, and what
container runtimes and ``kubectl logs`` put before a line.  Whatever else comes is a line whose
message is all of it.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["Entry", "Form", "Reader"]

Form = Literal["text", "json", "uvicorn", "other"]
_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL"})
_LEVEL = "DEBUG|INFO|WARNING|ERROR|CRITICAL|FATAL"
_PROCESS = r"(?:\((?P<process>[A-Za-z][\w-]*)(?: [^()]*)?\) )?"

# (APIServer pid=7) INFO 11-26 11:18:45 [core.py:133] since 0.10; before it without the process;
# and at first INFO 11-26 11:18:45 core.py:133] with no bracket before the file.
_TEXT = re.compile(
    rf"{_PROCESS}(?P<level>{_LEVEL}) (?P<month>\d\d)-(?P<day>\d\d) "
    r"(?P<clock>\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d+))? \[?(?P<origin>[\w./-]+:\d+)\] ?"
    r"(?P<message>.*)",
    re.DOTALL,
)
_UVICORN = re.compile(rf"{_PROCESS}(?P<level>{_LEVEL}): {{2,}}(?P<message>.*)", re.DOTALL)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_POD = re.compile(r"\[pod/[^\]\s]+\] ")  # kubectl logs --prefix
_STAMP = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) "
    r"(?:std(?:out|err) (?P<part>[FP])(?::\w+)* )?"  # CRI; without it kubectl logs --timestamps
)
_JSON_TIMES = ("asctime", "timestamp", "time", "ts")
_JSON_LEVELS = ("levelname", "level", "severity")
_JSON_PROCESSES = ("vllm_process_name", "processName")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line; ``time`` is None where neither the line nor one before it says any.

    A time without a zone is the log's own clock, here as UTC; ``exact`` says whether the line
    itself has one.
    """

    message: str
    form: Form
    time: datetime | None = None
    exact: bool = False
    level: str | None = None
    process: str | None = None
    origin: str | None = None


class Reader:
    """Reads line after line; ``reference`` gives the year that plain text leaves out."""

    def __init__(self, reference: datetime) -> None:
        self._reference = reference.astimezone(UTC)
        self._time: datetime | None = None
        self._partial = ""

    def read(self, line: str) -> Entry | None:
        """The line as an entry; None where it is the first part of a line that goes on."""
        whole, outer = self._unwrap(line)
        if whole is None:
            return None
        entry = self._entry(whole.rstrip("\n"), outer)
        if entry.time is not None:
            self._time = entry.time
        return entry

    def _unwrap(self, line: str) -> tuple[str | None, datetime | None]:
        """The line without what a runtime put before it, and the time that it gave."""
        line = _POD.sub("", line, count=1) if line.startswith("[pod/") else line
        outer = None
        if line.startswith('{"log":'):  # Docker's json-file driver
            data = _object(line)
            if isinstance(data.get("log"), str):
                line, outer = data["log"], _iso(str(data.get("time", "")))
        elif found := _STAMP.match(line):
            outer = _iso(found["time"])
            line = line[found.end() :]
            if found["part"] == "P":
                self._partial = (self._partial + line)[: 1 << 20]
                return None, None
        line, self._partial = self._partial + line, ""
        return (_ANSI.sub("", line) if "\x1b" in line else line), outer

    def _entry(self, line: str, outer: datetime | None) -> Entry:
        if line.startswith("{"):
            data = _object(line)
            if isinstance(message := data.get("message", data.get("msg")), str):
                return self._json(data, message, outer)
        if found := _TEXT.match(line):
            own = outer or self._date(found)
            return Entry(
                message=found["message"],
                form="text",
                time=own or self._time,
                exact=own is not None,
                level=found["level"],
                process=found["process"],
                origin=found["origin"],
            )
        found = _UVICORN.match(line)
        return Entry(
            message=found["message"] if found else line,
            form="uvicorn" if found else "other",
            time=outer or self._time,
            exact=outer is not None,
            level=found["level"] if found else None,
            process=found["process"] if found else None,
        )

    def _json(self, data: dict[str, Any], message: str, outer: datetime | None) -> Entry:
        own = outer or next(
            (t for n in _JSON_TIMES if (t := _iso(str(data.get(n, "")))) is not None), None
        )
        level = next((str(data[n]).upper() for n in _JSON_LEVELS if n in data), None)
        trouble = data.get("exc_info")  # a traceback stands apart from what it is about
        return Entry(
            message=f"{message}\n{trouble}" if isinstance(trouble, str) else message,
            form="json",
            time=own or self._time,
            exact=own is not None,
            level=level if level in _LEVELS else None,
            process=next((str(data[n]) for n in _JSON_PROCESSES if n in data), None),
            origin=str(data["name"]) if isinstance(data.get("name"), str) else None,
        )

    def _date(self, found: re.Match[str]) -> datetime | None:
        """With the year in which the date is not after the reference, by a day's grace."""
        fraction = (found["fraction"] or "0")[:6].ljust(6, "0")
        for year in (self._reference.year, self._reference.year - 1):
            try:
                text = f"{year}-{found['month']}-{found['day']}T{found['clock']}.{fraction}+00:00"
                date = datetime.fromisoformat(text)
            except ValueError:  # no such day, or none in that year
                continue
            if (date - self._reference).total_seconds() < 86400:
                return date
        return None


def _object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _iso(text: str) -> datetime | None:
    """``2026-11-26 11:23:16,668`` or ``2026-11-26T11:23:16.668123456Z``."""
    try:
        date = datetime.fromisoformat(re.sub(r"([.,]\d{6})\d+", r"\1", text.replace(",", ".")))
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
