"""Both sides of a request joined: every second is in one part, and nothing is joined by chance."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.traces.conftest import record

from firsttoken.loadgen.identity import span_id
from firsttoken.traces.join import Joined, join
from firsttoken.traces.server import Served


def span_of(index: int, **changes: object) -> Served:
    """The server's side of ``record(index)``: 0.9 s, 0.85 of them in the engine, 0.02 before."""
    trace_id = record(index).trace_id or ""
    base = Served(
        trace_id=trace_id,
        parent_id=span_id(trace_id),
        request_id=f"chatcmpl-{trace_id}",
        e2e=0.9,
        queue=0.05,
        prefill=0.1,
        decode=0.7,
        ttft=0.17,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_the_parts_of_a_request_say_where_its_time_went() -> None:
    (one,) = join([record(3)], [span_of(3)]).requests

    assert one.parts.lag == pytest.approx(0.01)
    assert one.parts.network == pytest.approx(0.97 - 0.9)
    assert one.parts.admission == pytest.approx(0.17 - 0.05 - 0.1)
    assert (one.parts.queue, one.parts.prefill, one.parts.decode) == (0.05, 0.1, 0.7)
    assert one.parts.tail == pytest.approx(0.03)
    assert one.parts.delivery == pytest.approx(0.9 - 0.17 - 0.7)
    assert one.parts.explained == pytest.approx(0.87 / 0.9)


def test_what_a_server_did_not_measure_is_not_explained() -> None:
    """Without a TTFT nobody knows what was before the engine; more than all is no better."""
    (silent,) = join([record(1)], [span_of(1, ttft=None)]).requests
    (over,) = join([record(1)], [span_of(1, ttft=0.23)]).requests

    assert silent.parts.admission == 0
    assert silent.parts.explained == pytest.approx(0.85 / 0.9)
    assert over.parts.delivery == pytest.approx(-0.03)
    assert over.parts.explained == pytest.approx(0.87 / 0.9)


seconds = st.floats(0, 1000)


@given(seconds, seconds, seconds, seconds, seconds, seconds)
def test_the_parts_add_up_to_what_the_user_waited(
    lag: float, answer: float, tail: float, e2e: float, queue: float, rest: float
) -> None:
    """Whatever the server says, and if its clock is of another day."""
    sent = 5.0 + lag
    last = sent + answer
    one = record(5, intended=5.0, sent=sent, first=sent, last=last, ended=last + tail)
    span = span_of(5, e2e=e2e, queue=queue, prefill=rest, decode=rest)

    (found,) = join([one], [span]).requests

    assert found.parts.total == pytest.approx(found.e2e, abs=1e-6)


def test_the_mean_is_of_each_part() -> None:
    joined = join([record(1), record(2)], [span_of(1), span_of(2, queue=0.15, decode=0.6)])

    assert joined.mean is not None
    assert joined.mean.queue == pytest.approx(0.1)
    assert joined.mean.decode == pytest.approx(0.65)
    assert join([], []).mean is None


def test_requests_without_a_span_and_spans_without_a_request_are_told() -> None:
    stranger = span_of(9, trace_id="f" * 32, request_id="chatcmpl-other")
    never_sent = record(3, sent=None, first=None, last=None)

    joined = join([record(1), record(2), never_sent], [span_of(1), stranger])

    assert [r.index for r in joined.requests] == [1]
    assert joined.client_only == (2, 3)
    assert joined.server_only == 1


def test_a_span_of_the_trace_with_another_parent_is_counted() -> None:
    assert join([record(1)], [span_of(1, parent_id="0" * 16)]).misparented == 1
    assert join([record(1)], [span_of(1)]).misparented == 0


def test_the_request_id_joins_where_the_trace_was_not_taken_up() -> None:
    trace_id = record(1).trace_id
    span = span_of(1, trace_id="e" * 32, parent_id="", request_id=f"cmpl-{trace_id}-0")

    joined = join([record(1)], [span])

    assert len(joined.requests) == 1
    assert (joined.misparented, joined.server_only) == (0, 0)


def test_of_several_spans_of_a_request_the_longest_counts() -> None:
    """One prompt with several answers ends with the last of them."""
    joined = join([record(1)], [span_of(1), span_of(1, e2e=0.95), span_of(1, e2e=0.5)])

    assert joined.requests[0].parts.server == pytest.approx(0.95)


def test_the_slowest_come_first_by_what_was_asked() -> None:
    quick, slow = record(1), record(2, ended=9.0)
    late = record(3, first=3.9)
    joined = join([quick, slow, late], [span_of(i) for i in (1, 2, 3)])

    assert [r.index for r in joined.slowest(2)] == [2, 1]
    assert [r.index for r in joined.slowest(1, "ttft")] == [3]
    assert Joined((), (), 0, 0).slowest(3) == ()
