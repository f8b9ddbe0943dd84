"""What a whole log tells: starts and their phases, requests that were broken off, how it ended."""

import re
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime

from firsttoken.logs.entry import Entry
from firsttoken.logs.facts import Fact, match

__all__ = ["Ended", "Event", "Phase", "Start", "Story", "Told"]

_GIB = 2**30
_IDS_KEPT = 4096
_EVENTS_KEPT = 1000
_OWN_SUFFIX = re.compile(r"-[0-9a-f]{8}$")  # what the engine adds to an id since 0.11
_PROBES = ("/health", "/metrics", "/ping", "/load", "/version")


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a start; ``seconds`` as vLLM itself says, ``end`` when the line was written."""

    name: str
    seconds: float
    end: datetime | None
    process: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the server; what the log did not say is None.  Sizes in bytes."""

    began: datetime | None = None
    ready: datetime | None = None
    version: str | None = None
    model: str | None = None
    phases: tuple[Phase, ...] = ()
    weights_bytes: float | None = None
    graphs_bytes: float | None = None
    kv_bytes: float | None = None
    kv_tokens: int | None = None
    kv_blocks: int | None = None
    concurrency: float | None = None
    compile_seconds: float | None = None
    request_log: bool | None = None
    """Whether requests are logged, without which aborted ones cannot be counted."""

    @property
    def seconds(self) -> float | None:
        """From the first line to being ready."""
        if self.began is None or self.ready is None:
            return None
        return (self.ready - self.began).total_seconds()


@dataclass(frozen=True, slots=True)
class Ended:
    """A line that says why the server cannot go on."""

    time: datetime | None
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """A moment worth a line of the timeline."""

    time: datetime | None
    what: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a log has told so far.

    ``aborted``: requests broken off.  ``http``: responses by status, those to probes left out.
    ``content``: lines that hold what users wrote or were answered; ``first_content`` the number of
    the first.  ``odd``: lines in no known format.
    """

    starts: tuple[Start, ...] = ()
    aborted: int = 0
    failed: int = 0
    received: int = 0
    fatal: tuple[Ended, ...] = ()
    fatal_counts: dict[str, int] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    http: dict[int, int] = field(default_factory=dict)
    content: int = 0
    first_content: int | None = None
    events: tuple[Event, ...] = ()
    lines: int = 0
    odd: int = 0

    @property
    def last(self) -> Start:
        """The newest start."""
        return self.starts[-1] if self.starts else Start()

    @property
    def counts_aborted(self) -> bool:
        """Whether the log would show aborted requests: with ``--enable-log-requests`` alone."""
        return bool(self.last.request_log) or self.received > 0 or self.aborted > 0


class Story:
    """Takes a log entry by entry; what it keeps does not grow with the log."""

    def __init__(self) -> None:
        self._starts: list[Start] = []
        self._aborted: OrderedDict[str, None] = OrderedDict()
        self._aborted_count = self._failed = self._received = 0
        self._fatal: list[Ended] = []
        self._fatal_counts: Counter[str] = Counter()
        self._levels: Counter[str] = Counter()
        self._http: Counter[int] = Counter()
        self._content = self._lines = self._odd = 0
        self._first_content: int | None = None
        self._events: list[Event] = []
        self._ended: set[str] = set()  # how the newest start has ended

    def told(self) -> Told:
        """What the log has told until now."""
        return Told(
            starts=tuple(self._starts),
            aborted=self._aborted_count,
            failed=self._failed,
            received=self._received,
            fatal=tuple(self._fatal),
            fatal_counts=dict(self._fatal_counts),
            levels=dict(self._levels),
            http=dict(self._http),
            content=self._content,
            first_content=self._first_content,
            events=tuple(self._events),
            lines=self._lines,
            odd=self._odd,
        )

    def take(self, entry: Entry) -> None:
        """Take the next entry."""
        self._lines += 1
        self._odd += entry.form == "other"
        if entry.level:
            self._levels[entry.level] += 1
        said = match(entry.message)
        if said is not None:
            fact, found = said
            getattr(self, f"_on_{fact.kind}")(entry, fact, found)

    def _event(self, entry: Entry, what: str) -> None:
        if len(self._events) < _EVENTS_KEPT:
            self._events.append(Event(entry.time, what))

    def _change(self, **values: object) -> None:
        if not self._starts:
            self._starts.append(Start())
        known = {name: value for name, value in values.items() if value is not None}
        self._starts[-1] = replace(self._starts[-1], **known)  # type: ignore[arg-type]

    def _on_server(self, entry: Entry, _: Fact, found: re.Match[str]) -> None:
        groups = found.groupdict()
        # Both the banner and a line of text may say it; after being ready it is another start.
        last = self._starts[-1] if self._starts else None
        if last is None or last.ready is not None or last.phases:
            self._starts.append(Start(began=entry.time))
            self._ended.clear()
            self._event(entry, f"vLLM {groups['version']} starts")
        self._change(version=groups["version"], model=groups.get("model"))

    def _on_engine(self, entry: Entry, _: Fact, found: re.Match[str]) -> None:
        if not self._starts:
            self._starts.append(Start(began=entry.time))
        self._change(version=found["version"], model=found["model"])
        self._event(entry, "the engine is initialized")

    def _on_arguments(self, _: Entry, __: Fact, found: re.Match[str]) -> None:
        text = found["arguments"]
        on = re.search(r"enable_log_requests['\"]?[:=] ?True", text)
        old = re.search(r"disable_log_requests=(True|False)", text)
        self._change(request_log=bool(on) or (old is not None and old[1] == "False"))

    def _on_phase(self, entry: Entry, fact: Fact, found: re.Match[str]) -> None:
        groups = found.groupdict()
        seconds = _number(groups.get("seconds"))
        gib = _number(groups.get("gib"))
        size = None if gib is None else gib * _GIB
        if fact.name == "capture_graphs":
            self._change(graphs_bytes=size)
        else:
            self._change(weights_bytes=size)
        compiled = _number(groups.get("compile"))
        if fact.name == "compile":
            compiled = seconds
        self._change(compile_seconds=compiled)
        if seconds is not None:
            done = Phase(fact.name, seconds, entry.time, entry.process)
            self._change(phases=(*self._starts[-1].phases[-99:], done))
            self._event(entry, f"{fact.name} took {seconds:g} s")

    def _on_kv_cache(self, entry: Entry, _: Fact, found: re.Match[str]) -> None:
        groups = found.groupdict()
        gib, tokens = _number(groups.get("gib")), _number(groups.get("tokens"))
        blocks = _number(groups.get("blocks"))
        self._change(
            kv_bytes=None if gib is None else gib * _GIB,
            kv_tokens=None if tokens is None else int(tokens),
            kv_blocks=None if blocks is None else int(blocks),
            concurrency=_number(groups.get("concurrency")),
        )
        if tokens is not None:
            self._event(entry, f"KV cache of {tokens:,.0f} tokens")

    def _on_ready(self, entry: Entry, _: Fact, __: re.Match[str]) -> None:
        if not self._starts or self._starts[-1].ready is None:
            self._change(ready=entry.time)
            self._event(entry, "ready")

    def _on_received(self, entry: Entry, fact: Fact, found: re.Match[str]) -> None:
        self._received += 1
        if found["content"]:  # up to 0.9 the prompt stands in the same line
            self._on_content(entry, fact, found)

    def _on_aborted(self, entry: Entry, _: Fact, found: re.Match[str]) -> None:
        # Two lines may say it of one request, with and without what the engine adds to its id.
        for one in found["id"].split(","):
            own = _OWN_SUFFIX.sub("", one)
            if own in self._aborted:
                continue
            self._aborted[own] = None
            self._aborted_count += 1
            self._event(entry, f"request {own} aborted")
        while len(self._aborted) > _IDS_KEPT:
            self._aborted.popitem(last=False)

    def _on_failed(self, entry: Entry, _: Fact, found: re.Match[str]) -> None:
        self._failed += 1
        self._event(entry, f"request {found['id']} failed: {found['why']}")

    def _on_fatal(self, entry: Entry, fact: Fact, _: re.Match[str]) -> None:
        # One end is told by many lines, tracebacks among them; each type counts once a start.
        if fact.name in self._ended:
            return
        self._ended.add(fact.name)
        self._fatal_counts[fact.name] += 1
        if len(self._fatal) < _EVENTS_KEPT:
            self._fatal.append(Ended(entry.time, fact.name, entry.message.strip()[:300]))
            self._event(entry, f"{fact.name}: {entry.message.strip()[:120]}")

    def _on_shutdown(self, entry: Entry, _: Fact, found: re.Match[str]) -> None:
        if not self._events or not self._events[-1].what.startswith("shutdown"):
            self._event(entry, f"shutdown: {found['what'][:120]}")

    def _on_http(self, _: Entry, __: Fact, found: re.Match[str]) -> None:
        if not found["path"].startswith(_PROBES):
            self._http[int(found["status"])] += 1

    def _on_content(self, _: Entry, __: Fact, ___: re.Match[str]) -> None:
        self._content += 1
        if self._first_content is None:
            self._first_content = self._lines


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text.replace(",", ""))
    except ValueError:
        return None
