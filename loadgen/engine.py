"""Runs a load: one loop that sends what is due, takes what comes, and does the rest in between.

While bytes come, they and their times are only kept.  Reading them, writing requests ahead and
writing records down wait for moments in which nothing is due.  Nothing here knows of asyncio: the
loop has a thread, or a process, of its own.
"""

import contextlib
import ctypes
import gc
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from time import perf_counter, sleep
from typing import NamedTuple

from firsttoken.loadgen.agenda import Agenda
from firsttoken.loadgen.chores import Chores, Ended
from firsttoken.loadgen.connection import Dialler
from firsttoken.loadgen.dialect import Dialect
from firsttoken.loadgen.flow import Flow
from firsttoken.loadgen.gauges import Gauges
from firsttoken.loadgen.network import Network
from firsttoken.loadgen.record import INTERRUPTED, Phase

__all__ = ["Ended", "Engine", "Windows"]

PRIORITY = -10
PR_SET_TIMERSLACK = 29  # of linux/prctl.h
NAP_S, LONG_NAP_S = 0.001, 0.004
NAPS_A_GAP = 5
"""So many naps at least between two parts of a stream: two that are read at once have one time."""
BUSY_PER_S = 5000.0
TICK_S = 0.01
READ_EVERY_S = 0.04
TAKE_S, TAKE_MOST_S = 1.5e-6, 0.0015
"""A part that is held takes so long to take, and as many as are taken at once."""
HELD_MOST, UNREAD_MOST = 2048, 64
"""More are taken, or read, even when a request is due: buffers are not endless, and what is not
read cannot be recognised, and is kept."""
SWEEP_S = 0.5
SWEEP_PARTS = 64
SHORT = 8


class Windows(NamedTuple):
    """The phases of a run, in seconds since its start."""

    measure: float
    cooldown: float
    end: float

    def phase(self, at: float) -> Phase:
        """The phase in which a moment lies."""
        if at < self.measure:
            return "warmup"
        if at < self.cooldown:
            return "measure"
        return "cooldown" if at < self.end else "drain"


class Engine:
    """One process' share of a run; ``ended`` is called with each flow, between other things.

    ``zero`` is the run's start on the monotonic clock, ``windows`` its phases.  What is due later
    than a flow's answer is put on the ``agenda`` by itself.
    """

    def __init__(
        self,
        agenda: Agenda,
        dialler: Dialler,
        dialect: Dialect,
        ended: Ended,
        windows: Windows,
        *,
        timeout: float,
        stream: bool = True,
        kernel_times: bool = True,
    ) -> None:
        self._agenda, self._dialler, self._windows = agenda, dialler, windows
        self._timeout = timeout
        self._network = Network(
            dialler, dialect, self._finished, stream=stream, kernel_times=kernel_times
        )
        self._zero = 0.0
        self._stop = False
        self._chores = Chores(self._network, agenda.prepare, ended, self.now)
        self._napping = False
        self._nap = NAP_S
        self._read_at = 0.0
        self._looked = self._housekept = self._sweep = 0.0
        self._events = 0
        self.gauges = Gauges(windows.measure, windows.cooldown)
        self.idle: Callable[[], None] = lambda: None
        self.issued = 0
        self.stopped_at: float | None = None

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return len(self._network.active)

    def now(self) -> float:
        """Seconds since the run's start."""
        return perf_counter() - self._zero

    def stop(self) -> None:
        """End the run soon, from any thread; what is in flight then is broken off."""
        self._stop = True

    def prepare(self) -> None:
        """Do what can be done before the start: names, and the first requests."""
        self._dialler.look_up()
        while self._agenda.prepare():
            pass

    def run(self, zero: float) -> None:
        """Run from ``zero`` (monotonic clock) to the end."""
        self._zero = zero
        _go_first()
        self._network.open()
        self.gauges.reading = self._network.sockets.name
        with _few_collections():
            try:
                self._loop()
            finally:
                if self._agenda.next() < math.inf or self._network.active:
                    self.stopped_at = self.now()
                for flow in list(self._network.active):
                    self._network.cut(flow, INTERRUPTED)
                self._chores.finish()
                self._network.close()

    def _loop(self) -> None:
        agenda, network = self._agenda, self._network
        tick = self.now()
        while not self._stop:
            now = self.now()
            due = agenda.next()
            while due <= now:
                self._issue(now)
                now = self.now()
                due = agenda.next()
            if due == math.inf and not network.active:
                return
            if now >= tick:
                self._keep_house(now, now - tick)
                tick = now + TICK_S
            self._wait(now, due, tick)
            self._read(now, due)
            self._chores.work(due)

    def _wait(self, now: float, due: float, tick: float) -> None:
        """Until something is due or has come.

        While much comes, it is let come for a moment: looking costs, and the kernel has the times.
        """
        sockets = self._network.sockets
        if self._napping:
            look, other = self._looked + self._nap, min(due, tick)
            sleep(max(0.0, min(look, other) - now))
            if other < look:
                return
            count = sockets.look()
            if count < sockets.batch:
                self._looked = self.now()
        elif sockets.held or self._network.unread or self._chores.behind:
            count = sockets.look()
        else:
            count = sockets.wait(due - now, tick - now)
        self._events += count

    def _issue(self, now: float) -> None:
        due = self._agenda.take(now)
        if due is None:
            return
        self.gauges.took_up(due.intended, now)
        phase = self._windows.phase(due.intended)
        self.issued += 1
        self._network.send(Flow(due.prepared, due.intended, phase, perf_counter(), due.user))

    def _finished(self, flow: Flow) -> None:
        """The network is done with a flow: what follows it comes first, its record later."""
        good = flow.error is None and flow.status == 200
        prepared = flow.prepared
        text = None
        if good:
            text = "".join(flow.answer().text) if prepared.rest else ""
        pause = flow.reader.retry_after if flow.reader and not good else None
        ended = (flow.ended or perf_counter()) - self._zero
        self._agenda.ended(prepared, flow.user, ended, text, pause)
        self._chores.over.append(flow)

    def _read(self, now: float, due: float) -> None:
        """Take what is held, or wait for more if nothing waits for an answer."""
        network, sockets = self._network, self._network.sockets
        soon = not self._napping or self._agenda.awaits
        if sockets.held and (soon or now >= self._read_at or sockets.held >= HELD_MOST):
            self._take(now, due)
        while network.unread:
            network.read()
            if self.now() >= due and len(network.unread) < UNREAD_MOST:
                return

    def _take(self, now: float, due: float) -> None:
        """Take what is held while nothing is due; some of it in any case if that is late."""
        sockets = self._network.sockets
        late = now >= self._read_at + READ_EVERY_S or sockets.held >= HELD_MOST
        while sockets.held:
            if not late and self.now() + min(TAKE_MOST_S, TAKE_S * sockets.held) > due:
                return
            sockets.take()
            late = False
        self._read_at = now + READ_EVERY_S

    def _keep_house(self, now: float, late: float) -> None:
        """A hundred times a second: gauges, time-outs, clocks, and how busy it is."""
        self.gauges.tick(now, late)
        self.idle()
        active = self._network.active
        overdue = perf_counter() - self._timeout
        while active and (oldest := next(iter(active))).started < overdue:
            self._network.cut(oldest, "timeout")
        if now - self._housekept < TICK_S * 5:
            return
        rate = self._events / (now - self._housekept)
        self._napping = self._network.sockets.stamped and rate > (BUSY_PER_S / (1 + self._napping))
        patience = NAP_S if self._agenda.awaits else LONG_NAP_S
        self._nap = max(NAP_S, min(patience, len(active) / max(rate, 1.0) / NAPS_A_GAP))
        self._events, self._housekept = 0, now
        self._network.set_clock()
        if now >= self._sweep:
            self._sweep = now + SWEEP_S
            self._chores.hand_out()
            for flow in filter(_worth_reading, active):
                self._network.settle(flow)


def _worth_reading(flow: Flow) -> bool:
    """Whether much has come of a flow, or its last bytes alone."""
    parts = flow.parts
    return len(parts) >= SWEEP_PARTS or (len(parts) > 0 and len(parts[-1]) < SHORT)


def _go_first() -> None:
    """Raise this thread's priority where it may, and have its timers be exact.

    Beside other work on the same cores, requests would be sent late by whole time slices.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), PRIORITY)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0)  # nanoseconds


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """No garbage collection while times are taken: one visits all that thousands of streams hold.

    Nothing that is made for a request refers to itself, so nothing is left behind.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
