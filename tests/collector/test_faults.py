"""A bad source is absent whole, says why, and costs the others nothing."""

import gzip
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.collector.conftest import GOOD, OWN, collected, response, samples, settings, upstream

from firsttoken.collector.collector import Answer

HISTOGRAM = (
    b"# TYPE h histogram\n"
    b'h_bucket{le="1.0"} 1\nh_bucket{le="2.0"} 2\nh_bucket{le="+Inf"} 2\nh_count 2\nh_sum 3\n'
)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


def refused() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/metrics"


def assert_only_good(answer: Answer, reason: str) -> None:
    good, bad = answer.results
    found = samples(answer.page)
    assert found.pop('firsttoken_collector_source_up{firsttoken_source="s0"}') == "1"
    assert found.pop('firsttoken_collector_source_up{firsttoken_source="s1"}') == "0"
    assert {k: v for k, v in found.items() if not k.startswith(OWN)} == {"queue_length": "7"}
    assert good.up
    assert (bad.up, bad.reason) == (False, reason)
    assert bad.detail


BAD = {
    "http_500": (response(HISTOGRAM, status=500), "status"),
    "http_404": (response(b"not found", status=404), "status"),
    "json": (response(b'{"up": 1}', "application/json"), "content_type"),
    "binary": (response(bytes(range(256)) * 40, "application/octet-stream"), "malformed"),
    "a_million_lines": (response(b"a 1\n" * 1_000_000), "too_large"),
    "too_many_samples": (response(b"".join(b"a%d 1\n" % row for row in range(1001))), "too_large"),
    "too_long_a_label": (response(b'a{b="%s"} 1\n' % (b"x" * 2000)), "too_large"),
    "html": (response(b"<html>\n<body>up 1</body>\n", "text/html"), "malformed"),
    "protobuf": (response(b"\x08\x01", "application/vnd.google.protobuf; q=1"), "content_type"),
    "protobuf_sent_as_text": (response(b"\x9c\x01\n\x0cgo_gc\x12\x00"), "malformed"),
    "shorter_than_its_length": (response(HISTOGRAM)[:-20], "cut"),
    "cut_between_chunks": (
        STREAM + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(HISTOGRAM), HISTOGRAM),
        "cut",
    ),
    "without_length_cut_in_a_line": (STREAM + b"\r\n" + HISTOGRAM[:-4], "malformed"),
    "without_length_cut_in_a_histogram": (
        STREAM + b"\r\n" + HISTOGRAM[: HISTOGRAM.index(b'h_bucket{le="+Inf')],
        "malformed",
    ),
    "openmetrics_without_eof": (
        response(b"a 1\n", "application/openmetrics-text; version=1.0.0"),
        "malformed",
    ),
    "two_eof": (
        response(b"a 1\n# EOF\n# EOF\n", "application/openmetrics-text; version=1.0.0"),
        "malformed",
    ),
    "not_a_number": (response(HISTOGRAM + b"a one\n"), "malformed"),
    "not_http": (b"SSH-2.0-OpenSSH\r\n", "connection"),
    "closed_at_once": (b"", "connection"),
    "gzip_bomb": (
        response(gzip.compress(b"a 1\n" * 300_000), extra="Content-Encoding: gzip\r\n"),
        "too_large",
    ),
    "gzip_cut": (
        response(gzip.compress(HISTOGRAM)[:-9], extra="Content-Encoding: gzip\r\n"),
        "cut",
    ),
    "not_gzip": (response(HISTOGRAM, extra="Content-Encoding: gzip\r\n"), "encoding"),
    "too_large": (response(b"a 1\n" * 300_000), "too_large"),
    "redirected_elsewhere": (
        response(b"", extra="Location: http://127.0.0.2:9/metrics\r\n", status=302),
        "redirect",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_source_is_absent_whole_and_the_other_is_served(case: str) -> None:
    answer, reason = BAD[case]
    with upstream(response(GOOD)) as good, upstream(answer) as bad:
        limits = {"max_bytes": 1_000_000, "max_samples": 1000, "max_label_length": 1000}
        assert_only_good(collected(settings(good.url, bad.url, **limits)), reason)


def test_a_million_lines_do_not_keep_others_waiting() -> None:
    """Within its limit of bytes such a page is refused by the number of its lines."""
    page = b"".join(b"a%d 1\n" % row for row in range(1_000_000))
    with upstream(response(GOOD)) as good, upstream(response(page)) as bad:
        assert_only_good(collected(settings(good.url, bad.url)), "too_large")


def test_a_source_that_refuses_is_absent() -> None:
    with upstream(response(GOOD)) as good:
        assert_only_good(collected(settings(good.url, refused())), "unreachable")


def _silent(sock: Any) -> None:
    sock.recv(1)


def _dribbling(sock: Any) -> None:
    sock.sendall(STREAM + b"Content-Length: 100000\r\n\r\n")
    while True:
        sock.sendall(b"#")
        time.sleep(0.02)


@pytest.mark.parametrize("slow", [_silent, _dribbling])
def test_a_slow_source_delays_the_page_to_its_deadline_and_no_longer(
    slow: Callable[[Any], None],
) -> None:
    with upstream(response(GOOD)) as good, upstream(slow) as bad:
        started = time.monotonic()
        answer = collected(settings(good.url, bad.url), patience=1.5)

        assert time.monotonic() - started >= 1.3
        assert_only_good(answer, "timeout")


def test_a_source_with_a_time_out_of_its_own_does_not_use_up_the_deadline() -> None:
    with upstream(response(GOOD)) as good, upstream(_silent) as bad:
        config = settings(good.url, timeout=60)
        slow = config.sources[0].model_copy(update={"name": "s1", "url": bad.url, "timeout": 0.1})
        answer = collected(config.model_copy(update={"sources": (*config.sources, slow)}))

    assert_only_good(answer, "timeout")


def test_all_sources_are_asked_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=20)

    def meet(sock: Any) -> None:
        both.wait()
        sock.sendall(response(GOOD))

    with upstream(meet) as one, upstream(meet) as two:
        assert all(result.up for result in collected(settings(one.url, two.url)).results)


def test_a_redirect_on_the_same_host_is_followed() -> None:
    def once(sock: Any) -> None:
        moved = b" /metrics/ " not in source.requests[-1]
        place = "Location: /metrics/\r\nConnection: close\r\n"
        sock.sendall(response(b"", extra=place, status=307) if moved else response(GOOD))

    with upstream(once) as source:
        assert collected(settings(source.url)).any_up


@pytest.mark.parametrize(
    "body",
    [
        GOOD.rstrip(b"\n"),
        GOOD.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + GOOD,
        GOOD + b"\n\n# a comment\n",
        GOOD + GOOD,
        GOOD + b"# TYPE queue_length counter\n",
    ],
    ids=["no_final_newline", "crlf", "bom", "comments", "twice", "two_types"],
)
def test_what_prometheus_would_read_is_served(body: bytes) -> None:
    with upstream(response(body)) as source, upstream(response(b"other 1\n")) as other:
        found = samples(collected(settings(source.url, other.url)).page)

    assert (found["queue_length"], found["other"]) == ("7", "1")


def test_a_null_byte_in_a_label_passes() -> None:
    with upstream(response(b'a{x="\x00"} 1\n')) as source:
        assert b'a{x="\x00"} 1\n' in collected(settings(source.url)).page


def test_packed_pages_are_read_but_not_asked_for_on_this_machine() -> None:
    packed = response(gzip.compress(GOOD), extra="Content-Encoding: gzip\r\n")
    with upstream(packed) as source:
        answer = collected(settings(source.url))

        assert answer.any_up
        assert b"Accept-Encoding: identity" in source.requests[0]


def test_the_token_is_sent_and_never_told(
    tmp_path: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    monkeypatch.setenv("FT_TOKEN", "s3cret")
    with upstream(response(b"", status=401)) as source:
        config = settings(source.url)
        for how in ({"bearer_token_file": token}, {"bearer_token_env": "FT_TOKEN"}):
            told = config.sources[0].model_copy(update=how)
            answer = collected(config.model_copy(update={"sources": (told,)}))

            assert b"Authorization: Bearer s3cret" in source.requests[-1]
            assert "s3cret" not in caplog.text + answer.results[0].detail + repr(told)


def test_a_token_that_cannot_be_read_is_the_sources_fault() -> None:
    with upstream(response(GOOD)) as source:
        config = settings(source.url)
        told = config.sources[0].model_copy(update={"bearer_token_env": "FT_NOT_THERE"})
        result = collected(config.model_copy(update={"sources": (told,)})).results[0]

    assert (result.reason, source.requests) == ("credentials", [])
