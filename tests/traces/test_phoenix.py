"""A receiver of somebody else's, Arize Phoenix, takes our spans and gives them back.

Phoenix is large (about 900 MB), so it is no dependency: ``FIRSTTOKEN_PHOENIX`` names the Python of
an environment that has ``arize-phoenix``.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import requests
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from tests.traces.conftest import record, run_of

from firsttoken.loadgen.identity import span_id
from firsttoken.loadgen.records import Run
from firsttoken.servers import free_port, start
from firsttoken.traces.clientspans import Keep, client_spans, kept
from firsttoken.traces.export import Protocol, export

PYTHON = os.environ.get("FIRSTTOKEN_PHOENIX", "")
pytestmark = [
    pytest.mark.phoenix,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not PYTHON, reason="FIRSTTOKEN_PHOENIX names no Python that has arize-phoenix"
    ),
]
PROJECT = "firsttoken"


class Phoenix(NamedTuple):
    """A running Phoenix: its URL and its OTLP/gRPC endpoint."""

    url: str
    grpc: str


def until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(name="phoenix", scope="module")
def _phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    folder = tmp_path_factory.mktemp("phoenix")
    port, grpc_port = free_port(), free_port()
    settings = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    command = ["env", *(f"{name}={value}" for name, value in settings.items())]
    command += [PYTHON, "-m", "phoenix.server.main", "serve"]
    url = f"http://127.0.0.1:{port}"

    def healthy() -> bool:
        try:
            return requests.get(f"{url}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    with start("phoenix", command, folder / "phoenix.log") as child:
        until(lambda: healthy() or not child.running)
        assert child.running, child.tail(20)
        yield Phoenix(url, f"http://127.0.0.1:{grpc_port}")


def in_project(spans: tuple[ReadableSpan, ...], project: str) -> list[ReadableSpan]:
    """The same spans, marked as one of Phoenix' projects."""
    for span in spans:
        more = Resource({"openinference.project.name": project})
        span._resource = span.resource.merge(more)
    return list(spans)


def given_back(phoenix: Phoenix, project: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def there() -> bool:
        answer = requests.get(
            f"{phoenix.url}/v1/projects/{project}/spans", params={"limit": 1000}, timeout=10
        )
        found[:] = answer.json()["data"] if answer.ok else []
        return len(found) >= count

    until(there, 60)
    return found


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_we_send_is_given_back(phoenix: Phoenix, protocol: Protocol) -> None:
    """Ids, parents, names, times, attributes and the state of each span."""
    begin = 100 if protocol == "grpc" else 200  # a span that is known already is not kept again
    answer = {"error": "http 503", "error_class": "http", "status": 503, "last": None}
    records = [record(begin + i) for i in range(5)]
    run: Run = run_of(*records, record(begin + 5, first=None, **answer))
    project = f"{PROJECT}-{protocol.partition('/')[0]}"
    made = in_project(client_spans(run, kept(run.records, Keep())), project)
    to = phoenix.grpc if protocol == "grpc" else phoenix.url

    assert export(made, to, protocol) == len(made)

    found = given_back(phoenix, project, len(made))
    clients = {s["context"]["span_id"]: s for s in found if s["name"] == "chat tiny"}
    assert len(clients) == 6
    for one in run.records:
        span = clients[span_id(one.trace_id or "")]
        assert span["context"]["trace_id"] == one.trace_id
        assert span["attributes"]["gen_ai.request.model"] == "tiny"
        assert span["attributes"]["gen_ai.usage.output_tokens"] == 10
        assert span["attributes"]["firsttoken.request.index"] == one.index
        assert span["status_code"] == ("UNSET" if one.ok else "ERROR")
    waits = [s for s in found if s["name"] != "chat tiny"]
    assert len(waits) == 6
    assert all(span["parent_id"] in clients for span in waits)
