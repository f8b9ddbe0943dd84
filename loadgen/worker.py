"""One process' share of a run, put together from what can be sent to another process."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from firsttoken.loadgen.agenda import Agenda
from firsttoken.loadgen.client import Client
from firsttoken.loadgen.dialect import DIALECTS
from firsttoken.loadgen.engine import Engine, Windows
from firsttoken.loadgen.flow import Prepared
from firsttoken.loadgen.gauges import Gauges
from firsttoken.loadgen.identity import identify
from firsttoken.loadgen.page import Tally
from firsttoken.loadgen.plan import Planned, Session
from firsttoken.loadgen.prompts import Message, Prompts, Vocabulary, counter
from firsttoken.loadgen.record import Generator, Record
from firsttoken.loadgen.recorder import Recorder
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.shards import Shard
from firsttoken.loadgen.summary import percentile
from firsttoken.loadgen.workload import plan, workload_of
from firsttoken.loadgen.writer import Writer

__all__ = ["Ended", "Share", "Snapshot", "Worker", "added"]


class Share(NamedTuple):
    """What a process needs to know to do its part; ``load`` has that part's limits."""

    load: LoadFile
    target: str
    headers: dict[str, str]
    model: str
    vocabulary: Vocabulary
    nonce: str
    out: Path
    shard: Shard = Shard()
    tallied: bool = False


class Snapshot(NamedTuple):
    """The state of a run, for people who watch it; latencies are over the last requests."""

    phase: str
    elapsed: float
    total: float
    issued: int
    done: int
    failed: int
    in_flight: int
    output_tokens: int
    ttft_p50: float | None
    ttft_p99: float | None = None
    tpot_p50: float | None = None
    tpot_p99: float | None = None
    lag_p99: float | None = None
    errors: dict[str, int] = {}  # noqa: RUF012 (a NamedTuple's default; never written to)


def added(snapshots: Sequence[Snapshot]) -> Snapshot:
    """The states of several processes as one; a percentile is the worst of theirs."""
    first = snapshots[0]
    errors: Counter[str] = Counter()
    for one in snapshots:
        errors.update(one.errors)
    counts = ("issued", "done", "failed", "in_flight", "output_tokens")
    worst = ("ttft_p50", "ttft_p99", "tpot_p50", "tpot_p99", "lag_p99")
    changes: dict[str, Any] = {
        name: sum(getattr(one, name) for one in snapshots) for name in counts
    }
    for name in worst:
        known = [value for one in snapshots if (value := getattr(one, name)) is not None]
        changes[name] = max(known, default=None)
    elapsed = max(one.elapsed for one in snapshots)
    return first._replace(elapsed=elapsed, errors=dict(errors), **changes)


class Ended(NamedTuple):
    """How a run ended; ``stopped_at`` is set when before its time, ``reason`` when by itself."""

    stopped_at: float | None
    reason: str | None
    gauges: Gauges
    held_back: int
    turns_dropped: int

    @property
    def generator(self) -> Generator:
        """How the load generator fared."""
        return self.gauges.result(self.held_back, self.turns_dropped)


class Worker:
    """Sends its share of the plan and appends records to the file."""

    def __init__(self, share: Share, sessions: Iterator[Session] | None = None) -> None:
        self._share, load = share, share.load
        self._client = Client(share.target, share.headers)
        self._prompts = Prompts(load, share.model, share.vocabulary, share.nonce)
        self._path = DIALECTS[load.api].path(stream=load.stream)
        self._writer = Writer(share.out, append=True)
        self.tally = Tally() if share.tallied else None
        self.recorder = Recorder(self._keep, exact=load.ignore_eos)
        self.windows = Windows(load.warmup, load.warmup + load.duration, load.total)
        self._agenda = Agenda(load, sessions or _dealt(share), self._write)
        self.engine = Engine(
            self._agenda,
            self._client.dialler(),
            DIALECTS[load.api],
            self.recorder,
            self.windows,
            timeout=load.timeout,
            stream=load.stream,
            kernel_times=load.kernel_times,
        )
        self.engine.idle = self._idle
        self._reason: str | None = None

    def prepare(self) -> None:
        """Look up names and write the first requests.  Raises UsageError for what cannot be."""
        self.engine.prepare()

    def run(self, zero: float) -> None:
        """Run from ``zero`` on the monotonic clock to the end.  Raises ConfigError (disk full)."""
        self.recorder.zero = zero
        with self._writer:
            self.engine.run(zero)

    def stop(self) -> None:
        """End the run soon, from any thread."""
        self.engine.stop()

    def ended(self) -> Ended:
        """How it ended here."""
        agenda, engine = self._agenda, self.engine
        return Ended(
            engine.stopped_at,
            self._reason,
            engine.gauges,
            agenda.held_back,
            agenda.turns_dropped,
        )

    def snapshot(self) -> Snapshot:
        """The state at this moment."""
        recorder, engine = self.recorder, self.engine
        elapsed = engine.now()
        ttfts, tpots = sorted(recorder.ttfts), sorted(recorder.tpots)
        return Snapshot(
            phase=self.windows.phase(elapsed),
            elapsed=round(elapsed, 3),
            total=self.windows.end,
            issued=engine.issued,
            done=recorder.done,
            failed=recorder.failed,
            in_flight=engine.in_flight,
            output_tokens=recorder.output_tokens,
            ttft_p50=_at(ttfts, 0.5),
            ttft_p99=_at(ttfts, 0.99),
            tpot_p50=_at(tpots, 0.5),
            tpot_p99=_at(tpots, 0.99),
            lag_p99=engine.gauges.lag_p99,
            errors=dict(recorder.errors),
        )

    def _keep(self, record: Record) -> None:
        self._writer.add(record)
        if self.tally is not None:
            operation = "chat" if self._share.load.api == "chat" else "text_completion"
            self.tally.add(record, self._share.model, operation)

    def _idle(self) -> None:
        self._writer.tick()
        limit = self._share.load.stop_at_error_share
        done, failed = self.recorder.done, self.recorder.failed
        if limit is not None and done >= _ENOUGH and failed > limit * done:
            self._reason = f"{failed} of {done} requests had failed"
            self.engine.stop()

    def _write(self, planned: Planned, rest: Session, said: tuple[Message, ...]) -> Prepared:
        who = identify(self._share.nonce, planned.index, tracing=self._share.load.tracing)
        body = self._prompts.body(planned, said)
        request = self._client.request(self._path, body, (*who.headers, *planned.headers))
        talk = (*said, *self._prompts.messages(planned)) if rest else ()
        return Prepared(planned, who.trace_id, request, rest, talk)


_ENOUGH = 20  # requests, before their errors may end a run


def _dealt(share: Share) -> Iterator[Session]:
    """This share's sessions: the plan is one, and dealt out in turn."""
    load = share.load
    return share.shard.deal(plan(load, workload_of(load, counter(load))))


def _at(ordered: list[float], share: float) -> float | None:
    return round(percentile(ordered, share), 6) if ordered else None
