"""What the network wants of the system: to be told of its sockets, and given what they have got.

Two ways of reading have this seam: ``ringed`` (io_uring) and ``polled`` (epoll).
"""

from collections.abc import Iterator
from typing import Protocol

from firsttoken.loadgen.connection import Connection
from firsttoken.loadgen.flow import Flow
from firsttoken.loadgen.record import Reading

__all__ = ["Listener", "Sockets"]


class Listener(Protocol):
    """Who is told."""

    def settle(self, flow: Flow) -> None:
        """Something came that may be the last of an answer, or has to be looked at for itself."""

    def closed(self, flow: Flow) -> None:
        """The server closed the connection, or broke it, while an answer was awaited."""

    def happened(self, connection: Connection) -> None:
        """A connection can be written to, or has got what nobody asked for: most often its end."""


class Sockets(Protocol):
    """Connections, watched; ``stamped`` is whether the kernel's times come with the bytes.

    So many as a ``batch`` are found by one look, or few more: then there may be others.
    """

    name: Reading
    stamped: bool
    batch: int

    @property
    def held(self) -> int:
        """How many parts were found, and have not been taken yet."""

    def opening(self, connection: Connection, *, write: bool = True) -> None:
        """Tell once it can be written to (or else read from): it is not ready yet."""

    def reads(self, connection: Connection, flow: Flow) -> None:
        """Put what comes from now on into a flow."""

    def writes(self, connection: Connection) -> None:
        """A request did not fit: tell once there is room again."""

    def rests(self, connection: Connection) -> None:
        """Nothing is to come from now on."""

    def drop(self, connection: Connection) -> None:
        """It is about to be closed: nothing of it may be told any more."""

    def look(self) -> int:
        """Take what has come or, of much, hold some; returns of how many times it came."""

    def wait(self, due: float, other: float) -> int:
        """Wait until something comes, or is ``due`` (to the microsecond), or until ``other``."""

    def take(self) -> None:
        """Take what is held, or a part of it."""

    def hand_out(self) -> Iterator[None]:
        """Let flows have the times of usual parts, which may have been kept for all together.

        A little at each step, so that it can be gone on with later.
        """

    def close(self) -> None:
        """Let go of the system."""
