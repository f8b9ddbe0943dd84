"""A log's story, from what a real vLLM 0.32 wrote and from the formats of older ones."""
# ruff: noqa: E501 - lines of logs

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.logs.entry import Reader
from firsttoken.logs.lines import LONGEST, Splitter
from firsttoken.logs.story import Story, Told
from firsttoken.otlp.decode import spans
from firsttoken.otlp.jsonfile import read
from firsttoken.traces.startup import cold_starts

DATA = Path(__file__).parents[1] / "data" / "vllm"
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def tell(data: bytes, now: datetime = NOW, piece: int = 1 << 20) -> Told:
    """What a log tells, read in pieces of so many bytes."""
    story, splitter, reader = Story(), Splitter(), Reader(now)

    def take(found: Iterator[str]) -> None:
        for line in found:
            entry = reader.read(line)
            if entry is not None:
                story.take(entry)

    for start in range(0, len(data), piece):
        take(splitter.feed(data[start : start + piece]))
    take(splitter.close())
    return story.told()


@pytest.fixture(name="real", params=["text", "json"])
def _real(request: pytest.FixtureRequest) -> bytes:
    """Start, nine requests, a broken-off one, two refused ones, and a killed engine."""
    return (DATA / f"vllm-0.32.0-{request.param}.log").read_bytes()


def test_a_real_log_tells_of_the_start(real: bytes) -> None:
    last = tell(real).last

    assert (last.version, last.model) == ("0.32.0", "/models/tiny")
    assert [phase.name for phase in last.phases] == [
        "initialize_model",
        "load_weights",
        "init_engine",
    ]
    assert (last.kv_tokens, last.concurrency, last.kv_bytes) == (524288, 256.0, 2**30)
    assert last.request_log is True
    assert last.seconds == pytest.approx(69 if b"asctime" not in real else 83.478)


def test_a_real_log_tells_what_became_of_requests(real: bytes) -> None:
    told = tell(real)

    assert told.aborted == 1  # said by two lines, once with the engine's suffix
    assert told.received == 7
    assert {status: told.http[status] for status in (200, 400, 404)} == {200: 7, 400: 1, 404: 1}
    assert told.fatal_counts == {"engine_died": 1}
    assert told.content == 0


def test_phases_are_what_vllms_own_trace_of_the_same_start_says() -> None:
    """Within 0.1 s; the log was written by the start that the captured spans are of."""
    told = tell((DATA / "vllm-0.32.0-text.log").read_bytes())
    found = read(DATA / "vllm-0.32.0-spans.jsonl").requests
    traced: dict[str, float] = {}
    for root in cold_starts([s for r in found for s in spans(r)]):
        traced |= {phase.name: phase.seconds for _, phase in root.walk()}
    logged = {phase.name: phase.seconds for phase in told.last.phases}

    assert logged["init_engine"] == pytest.approx(traced["Prepare model"], abs=0.1)
    assert logged["load_weights"] == pytest.approx(traced["Load weights"], abs=0.1)


V1 = """\
INFO 12-05 10:00:00 api_server.py:651] vLLM API server version 0.6.4.post1
INFO 12-05 10:00:00 api_server.py:652] args: Namespace(model='llama', disable_log_requests=False)
INFO 12-05 10:00:03 llm_engine.py:237] Initializing an LLM engine (v0.6.4.post1) with config: model='llama', speculative_config=None
INFO 12-05 10:00:20 model_runner.py:1077] Loading model weights took 14.9888 GB
INFO 12-05 10:00:24 gpu_executor.py:122] # GPU blocks: 27895, # CPU blocks: 2048
INFO 12-05 10:00:24 gpu_executor.py:126] Maximum concurrency for 8192 tokens per request: 54.48x
INFO 12-05 10:00:45 model_runner.py:1518] Graph capturing finished in 18 secs, took 0.26 GiB
INFO:     Application startup complete.
INFO 12-05 10:01:00 logger.py:37] Received request chatcmpl-1: prompt: 'my secret', params: SamplingParams(n=1)
INFO 12-05 10:01:01 async_llm_engine.py:186] Aborted request chatcmpl-1.
"""
V2 = """\
INFO 05-13 09:00:00 [api_server.py:1043] vLLM API server version 0.8.5
INFO 05-13 09:00:09 [core.py:58] Initializing a V1 LLM engine (v0.8.5) with config: model='llama', speculative_config=None
INFO 05-13 09:00:30 [loader.py:458] Loading weights took 3.21 seconds
INFO 05-13 09:00:31 [gpu_model_runner.py:1347] Model loading took 14.9889 GiB and 4.110571 seconds
INFO 05-13 09:00:40 [backends.py:430] Dynamo bytecode transform time: 5.72 s
INFO 05-13 09:01:05 [backends.py:148] Compiling a graph for general shape takes 20.41 s
INFO 05-13 09:01:20 [monitor.py:33] torch.compile takes 26.13 s in total
INFO 05-13 09:01:22 [kv_cache_utils.py:634] GPU KV cache size: 446,320 tokens
INFO 05-13 09:01:22 [kv_cache_utils.py:637] Maximum concurrency for 8,192 tokens per request: 54.48x
INFO 05-13 09:01:44 [gpu_model_runner.py:1686] Graph capturing finished in 22 secs, took 0.52 GiB
INFO 05-13 09:01:44 [core.py:159] init engine (profile, create kv cache, warmup model) took 72.78 seconds
INFO:     Application startup complete.
ERROR 05-13 09:02:00 [core.py:398] EngineCore encountered a fatal error.
ERROR 05-13 09:02:00 [core.py:398] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
"""
V3 = """\
\x1b[1;36m(APIServer pid=1)\x1b[0;0m INFO 10-02 08:00:00 [api_server.py:1896] vLLM API server version 0.11.0
(APIServer pid=1) INFO 10-02 08:00:00 [utils.py:233] non-default args: {'model': 'llama'}
(EngineCore_DP0 pid=99) INFO 10-02 08:00:30 [gpu_worker.py:298] Available KV cache memory: 61.20 GiB
(EngineCore_DP0 pid=99) INFO 10-02 08:00:30 [kv_cache_utils.py:1087] GPU KV cache size: 501,328 tokens
(EngineCore_DP0 pid=99) INFO 10-02 08:01:00 [core.py:210] init engine (profile, create kv cache, warmup model) took 41.20 s (compilation: 24.10 s)
(APIServer pid=1) INFO:     Application startup complete.
"""


def test_the_first_generation_of_plain_text() -> None:
    told = tell(V1.encode())

    assert told.last.version == "0.6.4.post1"
    assert told.last.weights_bytes == pytest.approx(14.9888 * 2**30)
    assert (told.last.kv_blocks, told.last.concurrency) == (27895, 54.48)
    assert told.last.began == datetime(2025, 12, 5, 10, tzinfo=UTC)  # not of the year to come
    assert told.last.request_log is True
    assert (told.aborted, told.content, told.first_content) == (1, 1, 9)
    assert told.odd == 0


def test_the_second_generation_of_plain_text() -> None:
    told = tell(V2.encode())

    assert {phase.name: phase.seconds for phase in told.last.phases} == {
        "load_weights": 3.21,
        "load_model": 4.110571,
        "dynamo": 5.72,
        "compile_graph": 20.41,
        "compile": 26.13,
        "capture_graphs": 22.0,
        "init_engine": 72.78,
    }
    assert told.last.compile_seconds == 26.13
    assert (told.last.kv_tokens, told.last.concurrency) == (446320, 54.48)
    assert told.last.graphs_bytes == pytest.approx(0.52 * 2**30)
    assert told.last.weights_bytes == pytest.approx(14.9889 * 2**30)
    assert told.fatal_counts == {"engine_died": 1, "out_of_memory": 1}
    assert not told.counts_aborted


def test_the_third_generation_of_plain_text() -> None:
    told = tell(V3.encode())

    assert told.last.version == "0.11.0"
    assert told.last.compile_seconds == 24.1
    assert told.last.kv_bytes == pytest.approx(61.2 * 2**30)
    assert told.last.phases[0].process == "EngineCore_DP0"
    assert told.last.ready == datetime(2026, 10, 2, 8, 1, tzinfo=UTC)  # of the line before it
    assert told.odd == 0


WRAPPINGS = {
    "kubectl --timestamps": lambda at, line: f"{at:%Y-%m-%dT%H:%M:%S}.123456789Z {line}",
    "kubectl --prefix": lambda at, line: f"[pod/llama-0/vllm] {at:%Y-%m-%dT%H:%M:%S}Z {line}",
    "CRI": lambda at, line: f"{at:%Y-%m-%dT%H:%M:%S}.5Z stdout F {line}",
    "Docker": lambda at, line: json.dumps(
        {"log": line + "\n", "stream": "stdout", "time": f"{at:%Y-%m-%dT%H:%M:%S}Z"}
    ),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("text", [V1, V2, V3], ids=["0.6", "0.8", "0.11"])
def test_what_a_runtime_puts_before_lines_changes_nothing_but_times(
    wrapping: str, text: str
) -> None:
    wrap: Any = WRAPPINGS[wrapping]
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    lines = [wrap(begin + timedelta(seconds=i), line) for i, line in enumerate(text.splitlines())]

    plain, wrapped = tell(text.encode()), tell("\n".join(lines).encode())

    assert [(p.name, p.seconds) for p in wrapped.last.phases] == [
        (p.name, p.seconds) for p in plain.last.phases
    ]
    assert (wrapped.aborted, wrapped.fatal_counts) == (plain.aborted, plain.fatal_counts)
    assert (wrapped.levels, wrapped.odd) == (plain.levels, plain.odd)
    assert wrapped.last.began is not None
    assert wrapped.last.began.year == 2026


def test_a_line_that_the_runtime_cut_in_two_is_one() -> None:
    stamp = "2026-01-01T00:00:00Z stdout"
    told = tell(f"{stamp} P INFO 05-13 09:00:30 [loader.py:458] Loading wei\n"
                f"{stamp} F ghts took 3.21 seconds\n".encode())  # fmt: skip

    assert [phase.seconds for phase in told.last.phases] == [3.21]


def test_a_second_start_in_one_log_is_told_apart() -> None:
    told = tell((V2 + V3).encode())

    assert [start.version for start in told.starts] == ["0.8.5", "0.11.0"]
    assert told.last.kv_tokens == 501328


def test_prompts_in_a_log_are_counted_and_never_repeated() -> None:
    lines = [
        "DEBUG 11-26 11:19:55 [request_logger.py:56] Request cmpl-1 details: prompt: 'CUDA out of memory?'",
        "INFO 11-26 11:19:55 [request_logger.py:108] Generated response cmpl-1: output: 'my word'",
        "DEBUG 11-26 11:19:55 [request_logger.py:74] Request cmpl-1 JSON body: {}",
    ]
    told = tell("\n".join(lines).encode())

    assert told.content == 3
    assert told.fatal_counts == {}  # what a user wrote is no error
    assert not any("memory" in e.what or "word" in e.what for e in told.events)


def test_a_line_of_10_mb_is_read_in_part_and_does_no_harm() -> None:
    long = b"INFO 05-13 09:00:30 [x.py:1] " + b"A" * 10_000_000
    splitter = Splitter()
    lines = [*splitter.feed(long), *splitter.feed(b"\nnext"), *splitter.close()]

    assert [len(line) for line in lines] == [LONGEST, 4]
    assert splitter.cut == 1
    told = tell(long + b"\n" + V3.encode())
    assert told.last.version == "0.11.0"
    assert told.lines == 7


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_before_a_log_do_no_harm(garbage: bytes, piece: int) -> None:
    told = tell(garbage + b"\n" + V3.encode(), piece=piece)

    assert told.last.kv_tokens == 501328


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_any_text_in_known_frames_does_no_harm(text: str) -> None:
    frames = (
        '{{"message": {json}, "asctime": {json}}}',
        "(APIServer pid=1) INFO 02-29 10:00:00 [x.py:1] {text}",
        "2026-13-41T99:00:00Z stdout F {text}",
        "INFO:     {text}",
        "Received request {text}",
        "Aborted request(s) {text}.",
        "init engine ({text}) took {text} s",
    )
    data = "\n".join(frame.format(text=text, json=json.dumps(text)) for frame in frames)

    assert tell(data.encode()).lines >= len(frames)


@given(st.binary(), st.integers(1, 20))
def test_lines_do_not_depend_on_how_the_bytes_came(data: bytes, piece: int) -> None:
    whole, pieces = Splitter(longest=8), Splitter(longest=8)
    expected = [*whole.feed(data), *whole.close()]
    found = [
        line
        for start in range(0, len(data), piece)
        for line in pieces.feed(data[start : start + piece])
    ]

    assert [*found, *pieces.close()] == expected
    assert pieces.cut == whole.cut


def test_a_log_of_a_million_aborted_requests_takes_bounded_memory() -> None:
    story, reader = Story(), Reader(NOW)
    for number in range(20_000):
        entry = reader.read(f"INFO 05-13 09:00:30 [x.py:1] Request cmpl-{number} aborted.")
        assert entry is not None
        story.take(entry)

    told = story.told()
    assert told.aborted == 20_000
    assert len(told.events) <= 1000
