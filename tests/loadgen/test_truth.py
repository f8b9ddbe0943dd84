"""Against a server that logs what it truly did: no coordinated omission, and honest overload."""

import statistics
from collections.abc import Iterator
from typing import Any

import pytest
from benchmarks import truth

from firsttoken.loadgen.fairness import bottleneck
from firsttoken.loadgen.record import Run
from firsttoken.loadgen.run import Stop, run_load, with_fast_loop
from firsttoken.loadgen.settings import LoadFile


@pytest.fixture(scope="module")
def fake() -> Iterator[Any]:
    """The fake server, built from its source."""
    if not truth.can_build():
        pytest.skip("there is no C compiler (cc)")
    with truth.started() as server:
        yield server


def run(fake: Any, **settings: Any) -> Run:
    base = {"warmup": 0, "prompt_tokens": 16, "api": "completions", "timeout": 20}
    load = LoadFile.model_validate({**base, **settings})
    return with_fast_loop(run_load(load, fake.url, None, Stop()))


def test_a_stall_shows_in_every_request_that_was_due_meanwhile(fake: Any) -> None:
    fake.configure(ttft_us=20_000, itl_us=5_000, fs_ms=500, fd_ms=1000)
    done = run(
        fake, arrivals={"kind": "constant", "rate": 40}, duration=2, output_tokens=4,
        max_in_flight=8,
    )  # fmt: skip
    fake.configure(fs_ms=0, fd_ms=0)
    first = min(record.sent or 0 for record in done.records)
    stalled = [r for r in done.records if first + 0.5 <= r.intended < first + 1.45]

    assert len(stalled) >= 36
    for record in stalled:  # each waited for the stall's end, whether it was sent or held back
        assert record.scheduled_ttft is not None
        assert record.scheduled_ttft >= first + 1.5 - record.intended - 0.01
    assert done.generator.held_back > 0


@pytest.mark.usefixtures("reading")
def test_times_are_those_of_the_server_s_log(fake: Any) -> None:
    fake.configure(ttft_us=30_000, itl_us=4_000)
    done = run(fake, arrivals={"kind": "poisson", "rate": 60}, duration=1.5, output_tokens=16)
    sent = fake.log()
    off, apart = [], []
    for record in done.records:
        assert record.error is None
        chunks = sent[record.trace_id].chunks
        assert record.ttft is not None
        off.append(record.ttft - chunks[0])
        assert len(record.gaps) == 15
        apart.append(sum(record.gaps) - (chunks[-1] - chunks[0]))
    # Most are within a tenth of a millisecond; a busy machine stamps some of them late.
    assert -0.0005 < statistics.median(off) < 0.002
    assert statistics.median(map(abs, apart)) < 0.002


def test_several_tokens_in_a_chunk_leave_tpot_right(fake: Any) -> None:
    fake.configure(ttft_us=20_000, itl_us=40_000, tpc=4)
    done = run(fake, arrivals={"kind": "constant", "rate": 20}, duration=0.5, output_tokens=16)
    fake.configure(tpc=1)

    assert {(record.chunks, record.output_tokens) for record in done.records} == {(4, 16)}
    tpot = statistics.median(record.tpot or 0 for record in done.records)
    assert tpot == pytest.approx(3 * 0.04 / 15, abs=0.001)


def test_a_load_that_the_generator_cannot_keep_is_not_called_good(fake: Any) -> None:
    fake.configure(ttft_us=0, itl_us=0)
    done = run(
        fake, arrivals={"kind": "constant", "rate": 30_000}, duration=0.25, output_tokens=1,
        max_in_flight=20_000,
    )  # fmt: skip
    why = bottleneck(done)

    assert why is not None
    assert "core" in why or "late" in why
