"""Objectives on native histograms, scraped by a real Prometheus in their own format."""

import struct
from pathlib import Path

import pytest
from tests.rules.scraped import until, watched

from firsttoken.rules.slo import SloFile

SLO = SloFile.model_validate(
    {
        "version": "firsttoken/v1",
        "service": "chat",
        "period": "1h",
        "histograms": "native",
        "objectives": [
            {"name": "ttft", "kind": "latency", "metric": "ttft", "threshold": "3s", "target": 99}
        ],
    }
)
NAME = "gen_ai_server_time_to_first_token_seconds"
PROTOBUF = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 63)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def text(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def family(count: dict[str, tuple[int, int]]) -> bytes:
    """A native histogram of schema 0 for each model: so many in (1, 2], and so many in (4, 8].

    Fields of io.prometheus.client.MetricFamily, by their numbers in ``metrics.proto``.
    """
    metrics = b""
    for model, (fast, slow) in count.items():
        label = text(1, text(1, b"gen_ai_request_model") + text(2, model.encode()))
        # Bucket 1 holds (1, 2], bucket 3 holds (4, 8]; counts are differences to the one before.
        spans = text(12, number(1, zigzag(1)) + number(2, 1))
        spans += text(12, number(1, zigzag(1)) + number(2, 1))
        deltas = number(13, zigzag(fast)) + number(13, zigzag(slow - fast))
        histogram = number(1, fast + slow) + double(2, 1.5 * fast + 6 * slow)
        histogram += number(5, zigzag(0)) + double(6, 1e-9) + number(7, 0) + spans + deltas
        metrics += text(4, label + text(7, histogram))
    body = text(1, NAME.encode()) + number(3, 4) + metrics
    return varint(len(body)) + body


def page(seconds: float) -> bytes:
    """A thousand observations a second of two models, of which one has every fourth slow."""
    count = int(seconds * 1000)
    return family({"good": (count, 0), "bad": (count - count // 4, count // 4), "idle": (7, 0)})


def test_a_native_histogram_is_judged_at_any_threshold(tmp_path: Path) -> None:
    """3 s lies between the buckets that have observations, so that the result is exact."""
    flags = ["--enable-feature=native-histograms"]
    with watched(tmp_path, SLO, page, PROTOBUF, flags) as asked:
        until(
            lambda: asked.value('slo:sli_total:rate10s{gen_ai_request_model="bad"} > 1') is not None
        )
        share = "slo:sli_bad:rate10s / (slo:sli_total:rate10s > 0)"
        found = {one.labels["gen_ai_request_model"]: one.last for one in asked.query(share)}
        idle = asked.value('slo:sli_bad:rate10s{gen_ai_request_model="idle"}')
        broken = [r for g in asked.rule_groups() for r in g["rules"] if r.get("lastError")]

    assert found["good"] == 0
    assert found["bad"] == pytest.approx(0.25, abs=0.03)
    assert idle == 0
    assert broken == []
