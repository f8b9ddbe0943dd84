"""A real vLLM for the whole session, the simulated one, and the requests that both are sent."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import yaml

from firsttoken.otlp.background import BackgroundReceiver
from firsttoken.otlp.store import Store
from firsttoken.servers import announced_address, start

ROOT = Path(__file__).parents[2]
SERVE = ROOT / "ci" / "vllm" / "serve.py"
READY_S = 540.0
MODEL = "tiny"
CONTEXT = 2048


@pytest.fixture(name="sent_spans", scope="session")
def _sent_spans() -> Store:
    """What the real vLLM sends over OTLP."""
    return Store()


@pytest.fixture(name="vllm", scope="session")
def _vllm(tmp_path_factory: pytest.TempPathFactory, sent_spans: Store) -> Iterator[str]:
    """The URL of a real vLLM that serves the tiny model; it takes two minutes to be ready."""
    log = tmp_path_factory.mktemp("vllm") / "serve.log"
    with (
        BackgroundReceiver(sent_spans) as receiver,
        start("vllm", [sys.executable, str(SERVE), "--otlp", receiver.grpc_endpoint], log) as child,
    ):
        yield announced_address(child, timeout=READY_S)


@pytest.fixture(name="simulated", scope="session")
def _simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the embedded engine, with the real one's model name and context."""
    folder = tmp_path_factory.mktemp("simulated")
    config = folder / "simulate.yaml"
    config.write_text(yaml.safe_dump({"model": MODEL, "parameters": {"max_model_len": CONTEXT}}))
    command = [sys.executable, "-m", "firsttoken", "simulate", "--listen", "127.0.0.1:0"]
    with start("simulate", [*command, "--config", str(config)], folder / "simulate.log") as child:
        yield announced_address(child)


@pytest.fixture(scope="session")
def page_after_traffic() -> Callable[[str], str]:
    """The metrics of an engine that has answered: some families are there only then."""

    def fetch(url: str) -> str:
        chat = {"model": MODEL, "messages": [{"role": "user", "content": "a b c"}], "max_tokens": 4}
        for body in (chat, {**chat, "stream": True}):
            requests.post(f"{url}/v1/chat/completions", json=body, timeout=60).raise_for_status()
        return requests.get(f"{url}/metrics", timeout=10).text

    return fetch
