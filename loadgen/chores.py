"""What can wait while a load runs: answers are recorded, and requests written ahead of their time.

Some of it together: what is done once a request and alone finds nothing of its own in the
processor's caches any more, and takes twice as long.
"""

from collections import deque
from collections.abc import Callable, Iterator

from firsttoken.loadgen.flow import Flow
from firsttoken.loadgen.network import Network

__all__ = ["Chores", "Ended"]

WORK_S, WORK_STAMPED_S = 0.0004, 0.002
"""For how long at a time; longer where the kernel has the times of what comes meanwhile."""
WORK_EVERY_S = 0.1
WAITING_MOST = 4096
"""More answers are recorded even when a request is due, so that memory is bounded."""

Ended = Callable[[Flow], None]


class Chores:
    """Flows that are ``over`` are given to ``ended`` once they have got all their times.

    ``prepare`` writes a request ahead, and says whether there was one to write; ``now`` is the
    engine's clock.  ``behind``: whether anything is left to do.
    """

    def __init__(
        self,
        network: Network,
        prepare: Callable[[], bool],
        ended: Ended,
        now: Callable[[], float],
    ) -> None:
        self._network, self._prepare, self._ended, self._now = network, prepare, ended, now
        self.over: deque[Flow] = deque()
        self._complete: deque[Flow] = deque()
        self._handing_out: Iterator[None] | None = None
        self._at = 0.0
        self.behind = False

    def work(self, due: float) -> None:
        """Go on for a while, at most until something is ``due``."""
        now, waiting = self._now(), len(self._complete) + len(self.over)
        if now < self._at and not self.behind:
            return
        until = now + (WORK_STAMPED_S if self._network.sockets.stamped else WORK_S)
        if waiting < WAITING_MOST:
            until = min(until, due)
        self.behind = True
        while self._step():
            if self._now() >= until:
                return
        self.behind = False
        self._at = self._now() + WORK_EVERY_S

    def hand_out(self) -> None:
        """Begin to let all flows have their times, so that those that are over can be recorded."""
        if self._handing_out is None:
            self._handing_out = self._hand_out()
            self.behind = True

    def finish(self) -> None:
        """Record all that is over, for however long that takes."""
        for _ in self._handing_out or ():
            pass
        for _ in self._hand_out():
            pass
        while self._complete:
            self._record()

    def _step(self) -> bool:
        """Do one thing; False when there is nothing to do."""
        if self._complete:
            self._record()
            return True
        if self._handing_out is not None:
            if next(self._handing_out, self) is self:
                self._handing_out = None
            return True
        return self._prepare()

    def _record(self) -> None:
        flow = self._complete.popleft()
        self._network.finish(flow)
        self._ended(flow)

    def _hand_out(self) -> Iterator[None]:
        over, self.over = self.over, deque()
        yield from self._network.sockets.hand_out()
        self._complete += over
