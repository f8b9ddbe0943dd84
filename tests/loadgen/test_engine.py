"""Runs against a scripted server: times are what was scripted, and each fault is a record."""

import asyncio
import json
import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from firsttoken.errors import NotJudgedError, UsageError
from firsttoken.loadgen.records import Record, Run, read
from firsttoken.loadgen.run import Part, Stop, run_load, with_fast_loop
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.shards import Shard
from firsttoken.loadgen.worker import Snapshot

Serve = Callable[[Callable[[Any, dict[str, Any]], Awaitable[None]]], Any]

QUICK = {
    "duration": "300ms",
    "warmup": "0s",
    "arrivals": {"kind": "closed", "concurrency": 2},
    "prompt_tokens": 8,
    "output_tokens": 3,
    "timeout": "5s",
}


def run(url: str, **changes: Any) -> Run:
    """Run a quick load, with changes to it, on the fast loop."""
    load = LoadFile.model_validate({**QUICK, **changes})
    return with_fast_loop(run_load(load, url, None, Stop()))


async def until_one_is_done(url: str, out: Path | None, **changes: Any) -> Run:
    """A long run that is stopped once a request has been answered."""
    stop = Stop()

    def watch(now: Snapshot) -> None:
        if now.done:
            stop.set("enough")

    load = LoadFile.model_validate({**QUICK, "duration": "60s", **changes})
    return await run_load(load, url, out, stop, watch)


async def three(stream: Any, body: dict[str, Any]) -> None:
    await stream.tokens(3)


def test_times_are_those_of_the_server(serve: Serve, reading: str) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.tokens(4, first=0.15, gap=0.05)

    done = run(serve(answer).url, duration="1s", output_tokens=4)
    good = [record for record in done.measured if record.ok]
    assert done.generator.reading == reading
    assert len(good) == len(done.measured) >= 4
    ttft, tpot, e2e = (
        statistics.median(getattr(record, name) for record in good)
        for name in ("ttft", "tpot", "e2e")
    )
    # Sleeping never ends early, so below is a mistake; above, the machine may be busy.
    assert 0.149 <= ttft < 0.25
    assert 0.049 <= tpot < 0.1
    assert 0.29 <= e2e < 0.6
    for record in good:
        assert record.intended <= record.sent <= record.first <= record.last <= record.ended  # type: ignore[operator]
        assert (record.chunks, record.output_tokens, record.output_source) == (4, 4, "usage")
        assert (record.prompt_tokens, record.finish_reason, record.status) == (7, "length", 200)
        assert len(record.gaps) == 3


def test_the_request_is_what_was_asked_for(serve: Serve) -> None:
    fake = serve(three)
    run(fake.url, extra_body={"temperature": 0, "min_tokens": None, "ignore_eos": False})
    body = fake.bodies[0]
    assert body["path"] == "/v1/chat/completions"
    assert (body["model"], body["stream"], body["max_tokens"]) == ("tiny", True, 3)
    assert body["stream_options"] == {"include_usage": True}
    assert body["temperature"] == 0
    assert body["ignore_eos"] is False
    assert "min_tokens" not in body


def test_completions_go_to_their_own_path(serve: Serve) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.head()
        await stream.event({"choices": [{"index": 0, "text": "a", "finish_reason": "length"}]})
        await stream.end()

    fake = serve(answer)
    done = run(fake.url + "/v1/", api="completions", output_tokens=1)
    assert fake.bodies[0]["path"] == "/v1/completions"
    assert isinstance(fake.bodies[0]["prompt"], str)
    assert all(record.ok and record.output_source == "chunks" for record in done.records)


@pytest.mark.usefixtures("reading")
def test_a_closed_loop_keeps_its_number_in_flight_and_its_connections(serve: Serve) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.tokens(3, gap=0.01)

    fake = serve(answer)
    done = run(fake.url, arrivals={"kind": "closed", "concurrency": 3})
    assert fake.peak == 3
    others = sum("completions" not in head.split()[1] for head in fake.headers)
    assert fake.connections == 3 + others
    assert [record.index for record in sorted(done.records, key=lambda r: r.intended)] == list(
        range(len(done.records))
    )


def test_an_open_loop_does_not_wait_for_answers(serve: Serve) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.tokens(1, first=0.4)

    fake = serve(answer)
    done = run(fake.url, arrivals={"kind": "constant", "rate": 40})
    assert len(done.records) == 12
    assert fake.peak > 6
    assert [record.intended for record in sorted(done.records, key=lambda r: r.index)] == [
        pytest.approx(number / 40) for number in range(12)
    ]
    assert all(record.lag is not None and record.lag >= 0 for record in done.records)
    assert done.generator.held_back == 0


def test_requests_beyond_the_limit_wait_and_are_counted(serve: Serve) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.tokens(1, first=0.2)

    fake = serve(answer)
    done = run(fake.url, arrivals={"kind": "constant", "rate": 20}, max_in_flight=2)
    assert fake.peak == 2
    assert done.generator.held_back > 0
    late = max(done.records, key=lambda record: record.index)
    assert late.scheduled_ttft > late.ttft + 0.1  # type: ignore[operator]


def test_warm_up_is_recorded_but_not_measured(serve: Serve) -> None:
    arrivals = {"kind": "constant", "rate": 20}
    done = run(serve(three).url, warmup="200ms", arrivals=arrivals)
    assert [record.phase for record in sorted(done.records, key=lambda r: r.index)] == (
        ["warmup"] * 4 + ["measure"] * 6
    )
    assert len(done.measured) == 6
    assert done.measure == (0.2, 0.5)


async def _refuse(stream: Any, body: dict[str, Any]) -> None:
    await stream.reply(503, b'{"error": {"message": "busy"}}')


async def _redirect(stream: Any, body: dict[str, Any]) -> None:
    await stream.reply(307, headers="location: http://elsewhere/\r\n")


async def _not_stream(stream: Any, body: dict[str, Any]) -> None:
    await stream.reply(200, b"{}", headers="content-type: application/json\r\n")


async def _reset(stream: Any, body: dict[str, Any]) -> None:
    await stream.head()
    await stream.text("a")
    await asyncio.sleep(0.05)
    await stream.drop()


async def _reset_early(stream: Any, body: dict[str, Any]) -> None:
    await stream.drop()


async def _no_done(stream: Any, body: dict[str, Any]) -> None:
    await stream.head()
    await stream.text("a")
    await stream.raw(b"0\r\n\r\n")


async def _error_inside(stream: Any, body: dict[str, Any]) -> None:
    await stream.head()
    await stream.text("a")
    await stream.event({"error": {"message": "engine died", "code": 500}})
    await stream.end()


async def _hang(stream: Any, body: dict[str, Any]) -> None:
    await stream.head()
    await stream.text("a")
    await asyncio.sleep(30)


async def _garbage(stream: Any, body: dict[str, Any]) -> None:
    await stream.raw(b"SSH-2.0-OpenSSH\r\n\r\n")


async def _empty(stream: Any, body: dict[str, Any]) -> None:
    await stream.head()
    await stream.end()


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize(
    ("script", "error", "status", "chunks"),
    [
        (_refuse, "http 503", 503, 0),
        (_redirect, "http 307", 307, 0),
        (_not_stream, "not an event stream", 200, 0),
        (_reset, "connection lost mid-stream", 200, 1),
        (_reset_early, "connection lost before an answer", None, 0),
        (_no_done, "stream ended without [DONE]", 200, 1),
        (_error_inside, "error in stream: engine died", 200, 1),
        (_hang, "timeout", 200, 1),
        (_garbage, "bad answer: not an HTTP/1.1 answer", None, 0),
        (_empty, "no tokens in the answer", 200, 0),
    ],
)
def test_each_fault_is_a_record_with_its_name(
    serve: Serve, script: Any, error: str, status: int | None, chunks: int
) -> None:
    arrivals = {"kind": "constant", "rate": 10}
    done = run(serve(script).url, arrivals=arrivals, timeout="300ms")
    assert len(done.records) == 3
    for record in done.records:
        assert (record.error, record.status, record.chunks) == (error, status, chunks)
        assert not record.ok
        assert record.sent is not None
        assert record.ended is not None
        assert (record.first is not None) == bool(chunks)


@pytest.mark.usefixtures("reading")
def test_a_server_that_goes_away_is_failures_not_a_crash(serve: Serve) -> None:
    count = 0

    async def answer(stream: Any, body: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        await stream.tokens(1)
        if count == 3:
            fake.leave()

    fake = serve(answer)
    arrivals = {"kind": "constant", "rate": 20}
    done = run(fake.url, arrivals=arrivals, duration="500ms")
    assert len(done.records) == 10
    errors = {record.error for record in done.records if not record.ok}
    assert "connection refused" in errors
    refused = [record for record in done.records if record.error == "connection refused"]
    assert all(record.sent is None and record.ended is not None for record in refused)


def test_failing_users_of_a_closed_loop_pause(serve: Serve) -> None:
    fake = serve(_refuse)
    done = run(fake.url)
    assert 2 <= len(done.records) <= 2 * 4


@pytest.mark.usefixtures("reading")
def test_a_kept_connection_that_the_server_closed_is_no_failure(serve: Serve) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.tokens(1)
        # As a server does whose keep-alive time is over: the client may not know yet.
        asyncio.get_running_loop().call_soon(stream.writer.transport.abort)

    done = run(serve(answer).url, duration="500ms", output_tokens=1)
    assert done.records
    assert [record.error for record in done.records if not record.ok] == []


@pytest.mark.usefixtures("reading")
def test_a_connection_that_is_to_be_closed_is_not_used_again(serve: Serve) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        event = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
        await stream.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        await stream.raw(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode())
        stream.writer.close()

    fake = serve(answer)
    done = run(fake.url)
    assert done.records
    assert [record.error for record in done.records if not record.ok] == []
    assert fake.connections >= len(done.records)


@pytest.mark.usefixtures("reading")
def test_interim_answers_and_split_heads_are_read(serve: Serve) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.raw(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 O")
        await asyncio.sleep(0.01)
        await stream.raw(b"K\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n")
        await stream.raw(b"\r\n")
        await stream.text("a")
        await stream.end()

    done = run(serve(answer).url, output_tokens=1)
    assert done.records
    assert all(record.ok and record.status == 200 for record in done.records)


def test_a_stopped_run_keeps_what_there_is(serve: Serve, tmp_path: Path) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.tokens(2, gap=0.15)

    out = tmp_path / "run.jsonl"
    done = with_fast_loop(until_one_is_done(serve(answer).url, out, output_tokens=2))
    assert done.interrupted
    assert done.stopped == "enough"
    assert done.measure[1] < 60
    errors = [record.error for record in done.records]
    assert 1 <= errors.count("interrupted") <= 2  # a user may just be between two requests
    assert None in errors
    assert all(record.ok for record in done.measured)
    kept = read(out)
    assert kept.interrupted
    assert kept.stopped == "enough"
    assert len(kept.records) == len(done.records)


def test_progress_counts_what_happens(serve: Serve) -> None:
    seen: list[Snapshot] = []

    async def work() -> Run:
        load = LoadFile.model_validate({**QUICK, "duration": "1200ms"})
        return await run_load(load, fake.url, None, Stop(), seen.append)

    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.tokens(3, gap=0.05)

    fake = serve(answer)
    done = with_fast_loop(work())
    assert len(seen) >= 2
    assert seen[0].phase == "measure"
    assert seen[-1].phase == "drain"
    assert seen[-1].done == seen[-1].issued == len(done.records)
    assert (seen[-1].in_flight, seen[-1].failed, seen[-1].total) == (0, 0, 1.2)
    assert seen[-1].output_tokens == 3 * len(done.records)
    assert seen[-1].ttft_p50 is not None


def test_what_the_server_says_of_itself_is_kept(serve: Serve) -> None:
    fake = serve(three)
    fake.others["/version"] = lambda _: {"version": "9.9"}
    done = run(fake.url)
    assert (done.model, done.engine, done.target) == ("tiny", "test 9.9", fake.url)


@pytest.mark.parametrize(
    ("models", "changes", "problem"),
    [
        ([{"id": "a"}, {"id": "b"}], {}, "name one: a, b"),
        ([{"id": "a"}], {"model": "b"}, "'b' is not served"),
        ([{"id": "a", "max_model_len": 10}], {}, "do not fit into the model's 10"),
    ],
)
def test_what_the_server_does_not_serve_is_refused_before_the_run(
    serve: Serve, models: list[dict[str, Any]], changes: dict[str, Any], problem: str
) -> None:
    fake = serve(three)
    fake.models = models
    with pytest.raises(UsageError, match=problem):
        run(fake.url, **changes)
    assert not fake.bodies


def test_an_adapter_is_not_taken_for_the_model(serve: Serve) -> None:
    fake = serve(three)
    fake.models = [{"id": "base"}, {"id": "adapter", "parent": "base"}]
    assert run(fake.url).model == "base"


def test_a_server_without_models_or_refusing_is_not_judged(serve: Serve) -> None:
    fake = serve(three)
    fake.models = []
    with pytest.raises(NotJudgedError, match="names no model"):
        run(fake.url)


@pytest.mark.parametrize(
    "target", ["localhost:80", "ftp://x", "http://", "http://x:99999", "http://u:p@x"]
)
def test_an_address_that_cannot_be_is_refused(target: str) -> None:
    with pytest.raises(UsageError, match="target"):
        run(target)


def test_several_processes_and_shards_send_the_prompts_of_one(serve: Serve, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "arrivals": {"kind": "poisson", "rate": 60},
        "duration": "500ms",
        "seed": 5,
        "api": "completions",
        "prompt_tokens": {"kind": "uniform", "low": 4, "high": 40},
    }
    sent, written = [], []
    for processes, shards in ((1, 1), (2, 1), (1, 2)):
        fake = serve(three)
        records: list[Record] = []
        for index in range(shards):
            load = LoadFile.model_validate({**QUICK, **asked, "processes": processes})
            out = tmp_path / f"{processes}-{shards}-{index}.jsonl"
            part = Part(Shard(index, shards), "one run's name")
            records += with_fast_loop(run_load(load, fake.url, out, Stop(), part=part)).records
        assert all(record.ok for record in records)
        records.sort(key=lambda record: record.index)
        sent.append([(r.index, round(r.intended, 6), r.prompt_target) for r in records])
        written.append(sorted(body["prompt"] for body in fake.bodies))

    assert len(sent[0]) > 10
    assert sent[0] == sent[1] == sent[2]
    assert written[0] == written[1] == written[2]
    assert len(set(written[0])) == len(sent[0])


def test_a_stop_ends_all_processes(serve: Serve) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.tokens(3, gap=0.1)

    closed = {"kind": "closed", "concurrency": 4}
    url = serve(answer).url
    done = with_fast_loop(until_one_is_done(url, None, processes=2, arrivals=closed))
    assert done.interrupted
    assert done.stopped == "enough"
    assert sum(record.error == "interrupted" for record in done.records) == 4
    assert any(record.ok for record in done.records)


def test_a_run_with_too_many_errors_stops_itself(serve: Serve) -> None:
    arrivals = {"kind": "constant", "rate": 100}
    done = run(serve(_refuse).url, arrivals=arrivals, duration="20s", stop_at_error_share=0.5)
    assert done.interrupted
    assert "requests had failed" in str(done.stopped)
    assert 20 <= len(done.records) < 200


def test_so_many_requests_are_sent_and_no_more(serve: Serve) -> None:
    done = run(serve(three).url, requests=7, duration="20s")
    assert len(done.records) == 7
    assert not done.interrupted


def test_users_think_and_begin_one_after_another(serve: Serve) -> None:
    closed = {"kind": "closed", "concurrency": 4, "think": "100ms", "ramp": "200ms"}
    done = run(serve(three).url, arrivals=closed, duration="500ms")
    sent = sorted(record.intended for record in done.records)
    assert sent[:1] == [pytest.approx(0.0, abs=1e-6)]
    assert sum(at < 0.04 for at in sent) == 1
    assert len(done.records) < 4 * 5


def test_a_cool_down_is_load_that_is_not_measured(serve: Serve) -> None:
    arrivals = {"kind": "constant", "rate": 20}
    done = run(serve(three).url, arrivals=arrivals, cooldown="200ms")
    phases = [record.phase for record in sorted(done.records, key=lambda r: r.index)]
    assert phases == ["measure"] * 6 + ["cooldown"] * 4
    assert len(done.measured) == 6


@pytest.mark.parametrize("api", ["tgi", "llamacpp"])
def test_other_apis_are_spoken(serve: Serve, api: str) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.head()
        if api == "tgi":
            assert body["parameters"]["max_new_tokens"] == 3
            for number in range(3):
                last = number == 2
                details = {"finish_reason": "length", "generated_tokens": 3, "input_length": 7}
                await stream.event(
                    {
                        "token": {"text": " a"},
                        "generated_text": " a a a" if last else None,
                        "details": details if last else None,
                    }
                )
        else:
            assert body["n_predict"] == 3
            for _ in range(3):
                await stream.event({"content": " a", "stop": False})
            end = {"tokens_predicted": 3, "tokens_evaluated": 7, "stop_type": "limit"}
            await stream.event({"content": "", "stop": True, **end})
        await stream.raw(b"0\r\n\r\n")

    fake = serve(answer)
    done = run(fake.url, api=api)
    assert {body["path"] for body in fake.bodies} == {
        {"tgi": "/generate_stream", "llamacpp": "/completion"}[api]
    }
    assert done.records
    for record in done.records:
        assert (record.error, record.chunks, record.output_tokens) == (None, 3, 3)
        assert (record.prompt_tokens, record.finish_reason) == (7, "length")


def test_an_answer_that_is_not_streamed_is_one_chunk(serve: Serve) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        assert body["stream"] is False
        await asyncio.sleep(0.05)
        choice = {"message": {"content": "a b c"}, "finish_reason": "length"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3}
        data = json.dumps({"choices": [choice], "usage": usage}).encode()
        await stream.reply(200, data, headers="content-type: application/json\r\n")

    done = run(serve(answer).url, stream=False)
    assert done.records
    for record in done.records:
        assert (record.error, record.chunks, record.output_tokens) == (None, 1, 3)
        assert record.ttft == pytest.approx(record.e2e, abs=1e-4)
        assert record.tpot is None
