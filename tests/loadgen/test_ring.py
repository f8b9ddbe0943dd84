"""io_uring on real sockets: what comes goes to whom it belongs, whole, in order, with its time."""

import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from firsttoken.loadgen.ring import (
    BUFFER,
    BUFFER_SIZE,
    COMPLETION,
    HEADER,
    MORE,
    STAMPED,
    TIME,
    Ring,
)

SO_TIMESTAMPNS = 35


class Pair:
    """A connection over loopback: ``near`` is read by the ring."""

    def __init__(self, listening: socket.socket) -> None:
        self.near = socket.create_connection(listening.getsockname())
        self.near.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.near.setblocking(False)
        self.far, _ = listening.accept()
        self.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@pytest.fixture
def ring() -> Iterator[Ring]:
    try:
        ring = Ring()
    except OSError as exc:
        pytest.skip(f"no io_uring: {exc}")
    yield ring
    ring.close()


@pytest.fixture
def pair() -> Iterator[Callable[[], Pair]]:
    """Makes connections; they end with the test."""
    made: list[Pair] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def make() -> Pair:
            made.append(Pair(server))
            return made[-1]

        yield make
    for one in made:
        one.near.close()
        one.far.close()


def payloads(ring: Ring, wanted: int, seconds: float = 5.0) -> dict[int, bytes]:
    """What each key has got, until all of them together have that many bytes."""
    found: dict[int, bytes] = {}
    until = time.monotonic() + seconds
    while sum(map(len, found.values())) < wanted and time.monotonic() < until:
        ring.enter(1, 0.05)
        held = 0
        for key, result, flags in COMPLETION.iter_unpack(ring.completions()):
            if flags & BUFFER:
                held += 1
                at = ring.start + (flags >> 16) * BUFFER_SIZE
                found[key] = found.get(key, b"") + ring.memory[at + HEADER : at + result]
        ring.free(held)
    return found


def test_what_comes_on_many_sockets_is_told_apart(ring: Ring, pair: Callable[[], Pair]) -> None:
    pairs = [pair() for _ in range(40)]
    for key, each in enumerate(pairs, 1):
        ring.receive(each.near.fileno(), key)
    for turn in range(5):
        for key, each in enumerate(pairs, 1):
            each.far.sendall(b"%d:%d " % (key, turn))
    expected = {key: b"".join(b"%d:%d " % (key, turn) for turn in range(5)) for key in range(1, 41)}

    assert payloads(ring, sum(map(len, expected.values()))) == expected


def test_more_rounds_than_there_are_buffers_lose_and_mix_up_nothing(
    ring: Ring, pair: Callable[[], Pair]
) -> None:
    pairs = [pair() for _ in range(3)]
    for key, each in enumerate(pairs, 1):
        ring.receive(each.near.fileno(), key)
    got = dict.fromkeys((1, 2, 3), b"")
    for turn in range(2800):  # of three receives each, twice round the buffers
        for key, each in enumerate(pairs, 1):
            each.far.sendall(b"%d-%04d." % (key, turn))
        for key, data in payloads(ring, 21).items():
            got[key] += data

    assert got == {
        key: b"".join(b"%d-%04d." % (key, turn) for turn in range(2800)) for key in (1, 2, 3)
    }


def test_the_time_is_when_it_came_and_not_when_it_was_read(
    ring: Ring, pair: Callable[[], Pair]
) -> None:
    one = pair()
    ring.receive(one.near.fileno(), 1)
    ring.submit()
    one.far.sendall(b"first")  # the kernel begins to take times a moment after it was asked to
    time.sleep(0.05)
    payloads(ring, 5)
    before = time.time_ns()
    one.far.sendall(b"second")
    after = time.time_ns()
    time.sleep(0.05)
    ring.enter(1, 1.0)
    ((key, result, flags),) = COMPLETION.iter_unpack(ring.completions())
    at = ring.start + (flags >> 16) * BUFFER_SIZE
    part = ring.memory[at : at + result]
    seconds, nanoseconds = struct.unpack("=qq", part[TIME:HEADER])

    assert (key, part[HEADER:], flags & MORE) == (1, b"second", MORE)
    assert part[STAMPED]
    assert before <= seconds * 1_000_000_000 + nanoseconds <= after


def test_what_was_cancelled_says_so_and_hears_nothing_more(
    ring: Ring, pair: Callable[[], Pair]
) -> None:
    one = pair()
    ring.receive(one.near.fileno(), 2)
    ring.submit()
    ring.cancel(2)
    ring.submit()
    one.near.close()
    ring.enter(1, 1.0)

    ((key, _, flags),) = COMPLETION.iter_unpack(ring.completions())
    assert (key, flags & MORE) == (2, 0)
    one.far.settimeout(5)
    assert one.far.recv(1) == b""  # the kernel has let go of it too


def test_waiting_ends_at_its_time(ring: Ring) -> None:
    began = time.monotonic()
    ring.enter(1, 0.03)

    assert 0.03 <= time.monotonic() - began < 1
    assert ring.completions() == b""
