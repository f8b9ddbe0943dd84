"""The embedded engine's API held against a real vLLM's: status codes and the shape of answers."""

import json
from typing import Any

import pytest
import requests

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

Request = tuple[str, dict[str, Any] | None]

HELLO = [{"role": "user", "content": "Hello there"}]
CHAT = {"model": "tiny", "messages": HELLO, "max_tokens": 5, "ignore_eos": True}
TEXT = {"model": "tiny", "prompt": "Hello there", "max_tokens": 5, "ignore_eos": True}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
CHAT_PATH, TEXT_PATH = "/v1/chat/completions", "/v1/completions"

ANSWERED: dict[str, Request] = {
    "chat": (CHAT_PATH, CHAT),
    "completion": (TEXT_PATH, TEXT),
    "completion of token ids": (TEXT_PATH, {**TEXT, "prompt": [10, 11, 12]}),
    "tokenize": ("/tokenize", {"model": "tiny", "prompt": "Hello there"}),
    "tokenize chat": ("/tokenize", {"model": "tiny", "messages": HELLO}),
}
STREAMED: dict[str, Request] = {
    "chat": (CHAT_PATH, {**CHAT, "stream": True}),
    "chat with usage": (CHAT_PATH, {**CHAT, **USAGE}),
    "completion": (TEXT_PATH, {**TEXT, "stream": True}),
    "completion with usage": (TEXT_PATH, {**TEXT, **USAGE}),
}
REFUSED: dict[str, Request] = {
    "unknown model": (CHAT_PATH, {**CHAT, "model": "nope"}),
    "no messages key": (CHAT_PATH, {"model": "tiny"}),
    "negative max_tokens": (CHAT_PATH, {**CHAT, "max_tokens": -1}),
    "temperature out of range": (CHAT_PATH, {**CHAT, "temperature": -1}),
    "top_p out of range": (TEXT_PATH, {**TEXT, "top_p": 2}),
    "penalty out of range": (TEXT_PATH, {**TEXT, "presence_penalty": 9}),
    "empty stop": (TEXT_PATH, {**TEXT, "stop": ""}),
    "no token at all": (TEXT_PATH, {**TEXT, "max_tokens": 0}),
    "more than the most": (TEXT_PATH, {**TEXT, "min_tokens": 9}),
    "longer than the context": (TEXT_PATH, {**TEXT, "prompt": [10] * 3000}),
    "answer longer than the context": (TEXT_PATH, {**TEXT, "max_tokens": 3000}),
    "stream_options without stream": (
        CHAT_PATH,
        {**CHAT, "stream_options": {"include_usage": True}},
    ),
    "body that is no JSON": (CHAT_PATH, None),
}


def shape(value: Any) -> Any:
    """Keys and kinds of a JSON value; of a list its first entry, of a number that it is one."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def differences(real: Any, ours: Any, where: str = "") -> list[str]:
    """What a client could rely on at the real engine and not at ours; more than that may be."""
    if isinstance(real, dict) and isinstance(ours, dict):
        return [
            line
            for key, value in real.items()
            for line in (
                differences(value, ours[key], f"{where}.{key}")
                if key in ours
                else ([f"{where}.{key}: missing"] if value != "NoneType" else [])
            )
        ]
    if isinstance(real, list) and isinstance(ours, list):
        return differences(real[0], ours[0], f"{where}[0]") if real and ours else []
    return [] if real in (ours, "NoneType") else [f"{where}: {ours} instead of {real}"]


def post(url: str, path: str, body: dict[str, Any] | None) -> requests.Response:
    """The answer to a body, or to one that is no JSON."""
    if body is None:
        headers = {"Content-Type": "application/json"}
        return requests.post(f"{url}{path}", data="{", headers=headers, timeout=60)
    return requests.post(f"{url}{path}", json=body, timeout=60)


def events(answer: requests.Response) -> list[str]:
    """The data of each event of a stream."""
    return [line.removeprefix("data: ") for line in answer.text.splitlines() if line]


@pytest.mark.parametrize("name", sorted(ANSWERED))
def test_an_answer_has_what_vllms_has(vllm: str, simulated: str, name: str) -> None:
    """Every key with a value that vLLM gives, with a value of the same kind."""
    real, ours = (post(url, *ANSWERED[name]) for url in (vllm, simulated))

    assert (real.status_code, ours.status_code) == (200, 200), ours.text
    assert differences(shape(real.json()), shape(ours.json())) == []


@pytest.mark.parametrize("name", sorted(STREAMED))
def test_a_stream_goes_as_vllms_goes(vllm: str, simulated: str, name: str) -> None:
    """The first event, one in the middle and the last two, each with what vLLM's has."""
    real, ours = (events(post(url, *STREAMED[name])) for url in (vllm, simulated))

    assert (real[-1], ours[-1]) == ("[DONE]", "[DONE]")
    for place in (0, 1, -2, -3):
        theirs, mine = (json.loads(stream[place]) for stream in (real, ours))
        assert differences(shape(theirs), shape(mine)) == [], f"event {place}"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_mistake_is_answered_as_by_vllm(vllm: str, simulated: str, name: str) -> None:
    """The same status, and an error with the same keys, type and code."""
    real, ours = (post(url, *REFUSED[name]) for url in (vllm, simulated))

    assert ours.status_code == real.status_code, real.text
    if real.status_code != 200:
        assert differences(shape(real.json()), shape(ours.json())) == []
        theirs, mine = real.json()["error"], ours.json()["error"]
        assert (mine["type"], mine["code"]) == (theirs["type"], theirs["code"])


@pytest.mark.parametrize("path", ["/v1/models", "/version", "/health"])
def test_what_is_asked_without_a_body_is_there(vllm: str, simulated: str, path: str) -> None:
    """Model, version and health, as a load balancer and a client ask for them."""
    real, ours = (requests.get(f"{url}{path}", timeout=10) for url in (vllm, simulated))

    assert (real.status_code, ours.status_code) == (200, 200)
    assert bool(real.content) == bool(ours.content)
    if real.content:
        assert differences(shape(real.json()), shape(ours.json())) == []
