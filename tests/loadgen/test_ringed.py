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
from firsttoken.loadgen.ringed import Ringed

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def token(stream: int, text: str) -> bytes:
    body = b'data: {"id": "%d", "choices": [{"index": 0, "text": "%b"}]}\n\n'
    event = body % (stream, text.encode())
    return b"%x\r\n%b\r\n" % (len(event), event)


class Stream(NamedTuple):
    flow: Flow
    far: socket.socket


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
    made: list[tuple[Connection, Stream]] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(5):
            near = socket.create_connection(server.getsockname())
            near.setblocking(False)
            connection = Connection(near, None, "localhost")
            far, _ = server.accept()
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            planned = Planned(Text("a"), None)
            flow = Flow(Prepared(planned, "trace", b"request"), 0.0, "measure", 0.0, -1)
            ringed.opening(connection)
            ringed.reads(connection, flow)
            made.append((connection, Stream(flow, far)))
        yield [stream for _, stream in made]
    for connection, stream in made:
        ringed.drop(connection)
        connection.close()
        stream.far.close()


def test_each_flow_is_handed_out_its_own_times_and_lengths(
    ringed: Ringed, listening: Listening, streams: list[Stream]
) -> None:
    sent: list[list[float]] = [[] for _ in streams]
    for number in range(40):
        for stream, (_, far) in enumerate(streams):
            if number % (stream + 1) == 0:  # some have got more than others
                sent[stream].append(time.perf_counter())
                first = HEAD if number == 0 else b""
                far.sendall(first + token(stream, "word" * (1 + number % 3)))
        ringed.wait(0.01, 0.01)
    while ringed.look():
        pass
    assert not any(stream.flow.tokens for stream in streams)  # kept together until now

    for _ in ringed.hand_out():
        pass
    for (flow, _), times in zip(streams, sent, strict=True):
        listening.settle(flow)
        found = list(flow.answer().times)
        assert len(found) == len(times)
        late = [came - went for came, went in zip(found, times, strict=True)]
        assert all(-0.001 < one < 1.0 for one in late)
    sizes = [sum(len(token(0, "word" * (1 + at % 3))) for at in range(0, 40, n)) for n in (1, 5)]
    assert [streams[0].flow.bytes, streams[4].flow.bytes] == sizes


def test_nothing_is_handed_out_twice(ringed: Ringed, streams: list[Stream]) -> None:
    for at, part in enumerate((HEAD + token(0, "a"), token(0, "b"), token(0, "c"))):
        streams[0].far.sendall(part)
        until = time.monotonic() + 5
        while not ringed.wait(0.05, 0.05) and time.monotonic() < until:
            pass
        assert at == 0 or streams[0].flow.lines
    for expected in (32, 32):
        for _ in ringed.hand_out():
            pass
        assert len(streams[0].flow.tokens) == expected
