"""What came is not lost where it had not been read yet when its connection or its time was over."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from firsttoken.loadgen.connection import Connection, Dialler
from firsttoken.loadgen.dialect import DIALECTS
from firsttoken.loadgen.flow import Flow, Prepared
from firsttoken.loadgen.network import Network
from firsttoken.loadgen.plan import Planned, Text

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TOKEN = b'data: {"choices": [{"index": 0, "text": "a", "finish_reason": null}]}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


WHOLE = HEAD + chunk(TOKEN) + chunk(DONE) + b"0\r\n\r\n"


class Served:
    """A network with one flow under way, of which this has come, and which was not read yet."""

    def __init__(self, came: bytes) -> None:
        self.ended: list[Flow] = []
        dialler = Dialler("127.0.0.1", 9, None)
        self.network = Network(
            dialler, DIALECTS["completions"], self.ended.append, stream=True, kernel_times=False
        )
        self.network.open()
        planned = Planned(Text("a"), None)
        self.flow = Flow(Prepared(planned, "trace", b"request"), 0.0, "measure", 0.0, -1)
        near, self._far = socket.socketpair()
        self.connection = Connection(near, None, "localhost")
        self.connection.state = "ready"
        self.connection.flow = self.flow
        self.network.active[self.flow] = self.connection
        self.network.sockets.opening(self.connection)
        now = time.time_ns()
        stamp = (now // 10**9).to_bytes(8, "little") + (now % 10**9).to_bytes(8, "little")
        assert self.flow.take(came, stamp)
        self.network.settle(self.flow)

    def close(self) -> None:
        self.network.close()
        self.connection.close()
        self._far.close()


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], Served]]:
    served: list[Served] = []

    def make(came: bytes) -> Served:
        served.append(Served(came))
        return served[-1]

    yield make
    for one in served:
        one.close()


def test_an_answer_is_whole_though_its_connection_was_closed_before_it_was_read(
    serve: Callable[[bytes], Served],
) -> None:
    one = serve(WHOLE)
    one.network.closed(one.flow)

    assert (one.ended, one.flow.error) == ([one.flow], None)
    assert (one.connection.state, one.network.unread) == ("closed", {})


def test_an_answer_that_came_in_time_is_no_time_out(serve: Callable[[bytes], Served]) -> None:
    one = serve(WHOLE)
    one.network.cut(one.flow, "timeout")

    assert (one.ended, one.flow.error) == ([one.flow], None)
    assert one.connection.state == "ready"


@pytest.mark.parametrize("way", ["closed", "cut"])
def test_what_is_held_is_taken_before_a_flow_ends(
    serve: Callable[[bytes], Served], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    one = serve(HEAD + chunk(TOKEN))
    sockets = one.network.sockets

    def take() -> None:
        monkeypatch.setattr(sockets, "held", 0)
        one.flow.take(chunk(TOKEN) + chunk(DONE) + b"0\r\n\r\n", bytes(16))

    monkeypatch.setattr(sockets, "held", 2)
    monkeypatch.setattr(sockets, "take", take)
    one.network.closed(one.flow) if way == "closed" else one.network.cut(one.flow, "timeout")

    assert (one.ended, one.flow.error) == ([one.flow], None)
    assert len(one.flow.answer().times) == 2


def test_half_an_answer_is_cut_short(serve: Callable[[bytes], Served]) -> None:
    one = serve(HEAD + chunk(TOKEN))
    one.network.closed(one.flow)

    assert (one.ended, one.flow.error) == ([one.flow], "connection lost mid-stream")
    assert len(one.flow.answer().times) == 1
