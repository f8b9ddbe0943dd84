"""Many streams through one ring: each flow gets the times and the bytes of its own parts."""

import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from firsttoken.loadgen.connection import Connection
from firsttoken.loadgen.dialect import DIALECTS
from firsttoken.loadgen.flow import Clock, Flow, Prepared
from firsttoken.loadgen.plan import Planned, Text
from firsttoken.loadgen.ringed import FEW, Ringed

STREAMS = 2 * FEW
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def token(stream: int, text: str) -> bytes:
    body = b'data: {"id": "%d", "choices": [{"index": 0, "text": "%b"}]}\n\n'
    event = body % (stream, text.encode())
    return b"%x\r\n%b\r\n" % (len(event), event)


class Stream(NamedTuple):
    flow: Flow
    far: socket.socket
    connection: Connection


class Listening:
    """Reads at once what has to be read."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.set(time.time_ns(), time.perf_counter())
        self.ended: list[Flow] = []

    def settle(self, flow: Flow) -> None:
        flow.digest(DIALECTS["completions"], self.clock, stream=True)

    def closed(self, flow: Flow) -> None:
        self.ended.append(flow)

    def happened(self, connection: Connection) -> None:
        pass


@pytest.fixture
def listening() -> Listening:
    return Listening()


@pytest.fixture
def ringed(listening: Listening) -> Iterator[Ringed]:
    try:
        ringed = Ringed(listening)
    except OSError as exc:
        pytest.skip(f"no io_uring: {exc}")
    yield ringed
    ringed.close()


@pytest.fixture
def streams(ringed: Ringed) -> Iterator[list[Stream]]:
    made: list[Stream] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(STREAMS):
            near = socket.create_connection(server.getsockname())
            near.setblocking(False)
            connection = Connection(near, None, "localhost")
            far, _ = server.accept()
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            planned = Planned(Text("a"), None)
            flow = Flow(Prepared(planned, "trace", b"request"), 0.0, "measure", 0.0, -1)
            ringed.opening(connection)
            ringed.reads(connection, flow)
            made.append(Stream(flow, far, connection))
        yield made
    for _, far, connection in made:
        ringed.drop(connection)
        connection.close()
        far.close()


def begin(ringed: Ringed, *streams: Stream) -> None:
    """Have the usual parts of streams known, of which each gets one."""
    for text in "ab":
        for number, stream in enumerate(streams):
            stream.far.sendall((HEAD if text == "a" else b"") + token(number, text))
        time.sleep(0.002)
        everything(ringed)
    assert all(stream.flow.lines for stream in streams)


def turn(ringed: Ringed, streams: list[Stream], **others: bytes) -> None:
    """Each stream gets a part, some of them one with another key in it; all are held."""
    before = ringed.held
    for number, stream in enumerate(streams):
        part = token(number, "c")
        stream.far.sendall(part.replace(b"index", others.get(str(number), b"index")))
    time.sleep(0.002)
    while ringed.look():
        pass
    assert ringed.held == before + len(streams)


def everything(ringed: Ringed) -> None:
    """Take all that has come."""
    while ringed.look() or ringed.held:
        if ringed.held:
            ringed.take()


def over(ringed: Ringed, *streams: Stream) -> None:
    """End streams, and let them have what is theirs."""
    for stream in streams:
        ringed.rests(stream.connection)
    for _ in ringed.hand_out():
        pass


def test_each_flow_is_handed_out_its_own_times_and_lengths(
    ringed: Ringed, listening: Listening, streams: list[Stream]
) -> None:
    begin(ringed, *streams)
    sent: list[list[float]] = [[] for _ in streams]
    for turn in range(1, 13):
        for number, (_, far, _) in enumerate(streams):
            if number > FEW or turn % (number % 4 + 1) == 0:  # some get more than others
                sent[number].append(time.perf_counter())
                far.sendall(token(number, "word" * (1 + turn % 3)))
        time.sleep(0.002)
        everything(ringed)
    given = sum(len(stream.flow.tokens) for stream in streams) // 16
    assert 2 * given < sum(map(len, sent))  # most are kept until their streams are over

    over(ringed, *streams)
    for (flow, _, _), times in zip(streams, sent, strict=True):
        listening.settle(flow)
        found = list(flow.answer().times)[2:]
        assert len(found) == len(times)
        late = [came - went for came, went in zip(found, times, strict=True)]
        assert all(-0.001 < one < 1.0 for one in late)
    begun = len(token(12, "a") + token(12, "b"))
    sizes = {
        n: sum(len(token(12, "word" * (1 + at % 3))) for at in range(n, 13, n)) for n in (1, 4)
    }
    assert [streams[at].flow.bytes for at in (12, 15)] == [begun + sizes[1], begun + sizes[4]]


def test_nothing_is_handed_out_twice(ringed: Ringed, streams: list[Stream]) -> None:
    begin(ringed, *streams)
    for _ in range(5):
        turn(ringed, streams)
    everything(ringed)
    for _ in range(2):
        over(ringed, *streams)
        assert {len(stream.flow.tokens) for stream in streams} == {16 * 6}


def test_few_parts_are_taken_as_they_come(ringed: Ringed, streams: list[Stream]) -> None:
    begin(ringed, *streams)
    before = len(streams[0].flow.tokens)
    streams[0].far.sendall(token(0, "c"))
    assert ringed.wait(5.0, 5.0) == 1
    assert (ringed.held, len(streams[0].flow.tokens)) == (0, before + 16)


def test_what_differs_is_read_in_its_order(
    ringed: Ringed, listening: Listening, streams: list[Stream]
) -> None:
    begin(ringed, *streams)
    for number in range(6):
        turn(ringed, streams, **{"1": b"order"} if number == 3 else {})
    everything(ringed)
    over(ringed, *streams)

    for stream in streams:
        listening.settle(stream.flow)
        assert len(stream.flow.answer().times) == 8
    assert b"order" not in streams[1].flow.before


def test_what_is_held_of_a_dropped_connection_is_no_other_streams(
    ringed: Ringed, streams: list[Stream]
) -> None:
    begin(ringed, *streams)
    turn(ringed, streams)
    ringed.drop(streams[2].connection)
    fresh = Flow(streams[2].flow.prepared, 0.0, "measure", 0.0, -1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        near.setblocking(False)
        connection = Connection(near, None, "localhost")
        ringed.opening(connection)  # it gets the other's place
        ringed.reads(connection, fresh)
        everything(ringed)
        ringed.rests(connection)
        over(ringed, *streams)
        ringed.drop(connection)
        connection.close()

    assert (fresh.tokens, fresh.parts, fresh.bytes) == (bytearray(), [], 0)
    assert [len(stream.flow.tokens) for stream in streams[1:4]] == [32, 16, 32]


def test_an_end_comes_after_all_that_came_before_it(
    ringed: Ringed, listening: Listening, streams: list[Stream]
) -> None:
    begin(ringed, *streams)
    turn(ringed, streams)
    streams[0].far.shutdown(socket.SHUT_RDWR)
    assert ringed.held
    until = time.monotonic() + 5
    while not listening.ended and time.monotonic() < until:
        ringed.look()
    assert (listening.ended, ringed.held) == ([streams[0].flow], 0)
    over(ringed, streams[0])
    assert len(streams[0].flow.tokens) == 32
