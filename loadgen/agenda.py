"""What is due next: an open loop's schedule, a closed loop's users, and turns that follow others.

Requests are written ahead of their time, while nothing is due: never between being due and being
sent.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from firsttoken.loadgen.arrivals import Closed
from firsttoken.loadgen.flow import Prepared
from firsttoken.loadgen.plan import Planned, Session
from firsttoken.loadgen.settings import LoadFile

__all__ = ["FAILURE_PAUSE_S", "Agenda", "Due", "Write"]

FAILURE_PAUSE_S = 0.1
"""How long a closed loop's user waits after a failure, so that a dead server is not flooded."""
_RETRY_AFTER_MAX_S = 60.0
_AHEAD_OPEN = 128
_FEW_PLACES = 128
"""With fewer left under ``max_in_flight``, a request that is due may soon wait for an answer."""
_OPEN_USER = -1

Write = Callable[[Planned, Session, tuple[Mapping[str, Any], ...]], Prepared]
"""Writes a request: what is planned, the turns after it, and what was said before it."""


class Due(NamedTuple):
    """A request that is to be sent now; ``user`` is whose it is, in a closed loop."""

    intended: float
    prepared: Prepared
    user: int


class Agenda:
    """Gives what is due; times are seconds since the run's start."""

    def __init__(self, load: LoadFile, sessions: Iterator[Session], write: Write) -> None:
        self._load, self._sessions, self._write = load, sessions, write
        self._end = load.total
        self._ahead: deque[Prepared] = deque()
        self._heap: list[tuple[float, int, int, Prepared | None]] = []
        self._order = itertools.count()
        self._in_flight = 0
        self._most = load.max_in_flight
        self._freed = -math.inf  # when there last was room again
        self.held_back = 0
        self.turns_dropped = 0
        self._users = 0
        self._follow = False  # whether turns follow answers
        arrivals = load.arrivals
        if isinstance(arrivals, Closed):
            self._users = arrivals.concurrency
            self._most = max(self._most, self._users)
            for user in range(self._users):
                start = arrivals.ramp * user / self._users
                heapq.heappush(self._heap, (start, next(self._order), user, None))
        self._target = max(_AHEAD_OPEN, self._users)

    @property
    def over(self) -> bool:
        """Whether nothing will ever be due any more, as far as is known now."""
        return self.next() == math.inf and not self._in_flight

    @property
    def awaits(self) -> bool:
        """Whether something might be due as soon as an answer has ended."""
        places = self._most - self._in_flight
        return self._users > 0 or self._follow or places < _FEW_PLACES

    def prepare(self) -> bool:
        """Write one request ahead; False when enough are written or there are no more."""
        if len(self._ahead) >= self._target:
            return False
        session = next(self._sessions, None)
        if session is None:
            return False
        self._follow = self._follow or len(session) > 1
        self._ahead.append(self._write(session[0], session[1:], ()))
        return True

    def next(self) -> float:
        """When the next request is due; infinity when none is, or none may be sent."""
        if self._in_flight >= self._most:
            return math.inf
        due = self._heap[0][0] if self._heap else math.inf
        if not self._users and (self._ahead or self.prepare()):
            due = min(due, self._ahead[0].planned.intended or 0.0)
        return due if due < self._end else math.inf

    def take(self, now: float) -> Due | None:
        """What is due by now, earliest first; None when nothing is."""
        due = self.next()
        if due > now:
            return None
        if self._heap and self._heap[0][0] == due:
            _, _, user, prepared = heapq.heappop(self._heap)
            if prepared is None:
                if not self._ahead and not self.prepare():
                    return self.take(now)  # the plan has ended: this user has nothing to ask
                prepared = self._ahead.popleft()
        else:
            user, prepared = _OPEN_USER, self._ahead.popleft()
        self.held_back += due < self._freed
        self._in_flight += 1
        return Due(due, prepared, user)

    def ended(
        self, prepared: Prepared, user: int, ended: float, text: str | None, pause: float | None
    ) -> None:
        """A request ended: what follows it is put on the agenda.

        ``text`` is the answer, None when it failed; then ``pause`` is what the server asked for.
        """
        if self._in_flight == self._most:
            self._freed = ended
        self._in_flight -= 1
        if text is None and prepared.rest:
            self.turns_dropped += len(prepared.rest)
        if text is not None and prepared.rest:
            planned, rest = prepared.rest[0], prepared.rest[1:]
            said = (*prepared.said, {"role": "assistant", "content": text})
            following = self._write(planned, rest, said)
            self._push(ended + planned.think, user, following)
        elif user != _OPEN_USER:
            think = self._load.arrivals.think if isinstance(self._load.arrivals, Closed) else 0.0
            wait = think if text is not None else max(FAILURE_PAUSE_S, pause or 0.0)
            self._push(ended + min(wait, max(_RETRY_AFTER_MAX_S, think)), user, None)

    def _push(self, due: float, user: int, prepared: Prepared | None) -> None:
        heapq.heappush(self._heap, (due, next(self._order), user, prepared))
