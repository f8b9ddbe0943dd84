"""The API as a client sees it: answers, streams, usage, errors, and clients that leave."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "What is a token?"}]}
ENDPOINTS = [("/v1/completions", {"prompt": "The first token"}), ("/v1/chat/completions", CHAT)]


def said(chunk: dict[str, Any]) -> str:
    choice = chunk["choices"][0]
    text: str = choice["text"] if "text" in choice else choice["delta"]["content"]
    return text


@pytest.mark.parametrize(("path", "body"), ENDPOINTS)
def test_a_stream_says_what_the_whole_answer_says(simulate: Any, path: str, body: Any) -> None:
    async def check() -> None:
        async with simulate() as client:
            wish = {**body, "max_tokens": 12, "seed": 7, "ignore_eos": True}
            _, whole = await client.post(path, **wish)
            events = await client.events(path, **wish, stream_options={"include_usage": True})
            assert events.pop() == "[DONE]"
            *chunks, last = [json.loads(event) for event in events]
            choice = whole["choices"][0]
            text = choice["text"] if "text" in choice else choice["message"]["content"]
            assert "".join(map(said, chunks)) == text
            assert text.split()
            assert len({chunk["id"] for chunk in [*chunks, last]}) == 1
            reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
            assert reasons == [None] * (len(chunks) - 1) + ["length"]
            assert last["choices"] == []
            assert last["usage"].items() <= whole["usage"].items()
            assert last["usage"]["completion_tokens"] == 12
            assert last["usage"]["total_tokens"] == 12 + last["usage"]["prompt_tokens"]

    asyncio.run(check())


def test_a_chat_stream_begins_with_the_role_and_has_no_usage_unasked(simulate: Any) -> None:
    async def check() -> None:
        async with simulate() as client:
            events = await client.events(
                "/v1/chat/completions", **CHAT, max_tokens=3, ignore_eos=True
            )
            chunks = [json.loads(event) for event in events[:-1]]
            assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
            assert len("".join(map(said, chunks)).split()) == 3
            assert not any("usage" in chunk for chunk in chunks)

    asyncio.run(check())


def test_usage_comes_with_every_chunk_when_asked_for(simulate: Any) -> None:
    async def check() -> None:
        async with simulate() as client:
            options = {"include_usage": True, "continuous_usage_stats": True}
            events = await client.events(
                "/v1/completions", prompt="a b", max_tokens=5, stream_options=options
            )
            counts = [json.loads(event)["usage"]["completion_tokens"] for event in events[:-1]]
            assert counts == sorted(counts)
            assert counts[-2:] == [5, 5]

    asyncio.run(check())


def test_token_ids_go_in_and_come_out(simulate: Any) -> None:
    async def check() -> None:
        async with simulate() as client:
            _, tokenized = await client.post("/tokenize", prompt="hello world")
            ids = tokenized["tokens"]
            assert tokenized["count"] == len(ids)
            assert tokenized["max_model_len"] == 8192
            _, text = await client.post("/detokenize", tokens=ids)
            assert text == {"prompt": "hello world"}
            wish = {"prompt": ids, "max_tokens": 4, "seed": 1, "return_token_ids": True}
            _, whole = await client.post("/v1/completions", **wish)
            choice = whole["choices"][0]
            assert choice["prompt_token_ids"] == ids
            assert whole["usage"]["prompt_tokens"] == len(ids)
            _, again = await client.post("/detokenize", tokens=choice["token_ids"])
            assert again["prompt"] == choice["text"]
            events = await client.events("/v1/completions", **wish)
            choices = [json.loads(event)["choices"][0] for event in events[:-1]]
            assert choices[0]["prompt_token_ids"] == ids
            streamed = [token for one in choices for token in one["token_ids"]]
            assert streamed == choice["token_ids"]

    asyncio.run(check())


def test_length_is_what_the_request_asks_for(simulate: Any) -> None:
    async def check() -> None:
        async with simulate({"output_tokens_median": 20}) as client:

            async def answer(**wish: Any) -> tuple[int, str]:
                _, whole = await client.post("/v1/completions", prompt="x", **wish)
                return whole["usage"]["completion_tokens"], whole["choices"][0]["finish_reason"]

            assert await answer(ignore_eos=True) == (16, "length")
            assert await answer(max_tokens=500, ignore_eos=True) == (500, "length")
            count, reason = await answer(max_tokens=900, min_tokens=400)
            assert (count >= 400, reason) == (True, "stop")
            natural = [await answer(max_tokens=4000) for _ in range(11)]
            assert {reason for _, reason in natural} == {"stop"}
            assert 10 < sorted(natural)[5][0] < 40

    asyncio.run(check())


def test_an_answer_ends_before_a_stop_string(simulate: Any) -> None:
    async def check() -> None:
        async with simulate() as client:
            wish = {"prompt": "x", "max_tokens": 30, "seed": 3, "ignore_eos": True}
            _, whole = await client.post("/v1/completions", **wish)
            text = whole["choices"][0]["text"]
            stop = text.split()[10]
            _, cut = await client.post("/v1/completions", **wish, stop=[stop])
            choice = cut["choices"][0]
            assert choice["text"] == text[: text.find(stop)]
            assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", stop)

    asyncio.run(check())


def test_the_model_is_listed_with_its_length(simulate: Any) -> None:
    async def check() -> None:
        async with simulate({"max_model_len": 2048}, model="a/b") as client:
            listed = json.loads(await client.text("/v1/models"))
            assert listed["object"] == "list"
            [card] = listed["data"]
            assert (card["id"], card["object"], card["max_model_len"]) == ("a/b", "model", 2048)
            assert json.loads(await client.text("/version"))["version"] == "0.32.0"
            assert await client.text("/health") == ""

    asyncio.run(check())


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "param"),
    [
        ("/v1/completions", {}, 400, "Bad Request", "body.prompt"),
        ("/v1/completions", {"prompt": "x", "max_tokens": "y"}, 400, "Bad Request", None),
        ("/v1/completions", {"prompt": "x", "max_tokens": 0}, 400, "BadRequestError", "max_tokens"),
        (
            "/v1/completions",
            {"prompt": "x", "max_tokens": 9000},
            400,
            "BadRequestError",
            "max_tokens",
        ),
        ("/v1/completions", {"prompt": [5] * 8192}, 400, "BadRequestError", "input_tokens"),
        ("/v1/completions", {"prompt": []}, 400, "BadRequestError", "prompt"),
        ("/v1/completions", {"prompt": [10**9]}, 400, "BadRequestError", "prompt"),
        ("/v1/completions", {"prompt": ["a", "b"]}, 400, "Bad Request", "body.prompt"),
        ("/v1/completions", {"prompt": "x", "n": 2}, 400, "BadRequestError", "n"),
        ("/v1/completions", {"prompt": "x", "min_tokens": 17}, 400, "BadRequestError", None),
        (
            "/v1/completions",
            {"prompt": "x", "stream_options": {"include_usage": True}},
            400,
            "BadRequestError",
            "stream_options",
        ),
        ("/v1/chat/completions", {**CHAT, "model": "gpt-9"}, 404, "NotFoundError", "model"),
        ("/v1/chat/completions", {"messages": []}, 400, "Bad Request", "body.messages"),
        ("/v1/embeddings", {"input": "x"}, 404, "Not Found", None),
        ("/health", {}, 405, "Method Not Allowed", None),
        ("/detokenize", {"tokens": [-1]}, 400, "Bad Request", None),
        ("/tokenize", {}, 400, "BadRequestError", None),
    ],
)
def test_errors_have_the_shape_that_clients_expect(
    simulate: Any, path: str, body: dict[str, Any], status: int, kind: str, param: str | None
) -> None:
    async def check() -> None:
        async with simulate() as client:
            got, answer = await client.post(path, **body)
            error = answer["error"]
            assert (got, error["code"], error["type"]) == (status, status, kind)
            assert error["message"]
            assert param is None or error["param"] == param

    asyncio.run(check())


def test_a_body_that_is_no_json_is_an_error_too(simulate: Any) -> None:
    async def check() -> None:
        async with simulate() as client:
            for data, kind in ((b"{", "application/json"), (b"{}", "text/plain")):
                async with client.session.post(
                    client.url + "/v1/completions", data=data, headers={"Content-Type": kind}
                ) as response:
                    assert response.status == 400
                    assert (await response.json())["error"]["type"] == "Bad Request"

    asyncio.run(check())


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_its_request(simulate: Any, stream: bool) -> None:
    async def check() -> None:
        async with simulate({"decode_base_s": 0.02}) as client:
            scheduler = client.deployment.engine.scheduler
            body = {"prompt": "x", "max_tokens": 4000, "ignore_eos": True, "stream": stream}
            response = asyncio.create_task(
                client.session.post(client.url + "/v1/completions", json=body)
            )
            await client.until(lambda: any(one.generated > 2 for one in scheduler.running))
            if stream:
                (await response).close()
            else:
                response.cancel()
            await client.until(lambda: not scheduler.busy)
            assert scheduler.pool.used == 0
            found = await client.samples()
            assert found["vllm:num_requests_running"] == 0
            assert found["vllm:request_success_total"] == 0
            assert found["vllm:generation_tokens_total"] > 2
            _, answer = await client.post("/v1/completions", prompt="x", max_tokens=1)
            assert answer["usage"]["completion_tokens"] == 1

    asyncio.run(check())


def test_two_deployments_with_one_seed_say_the_same(simulate: Any) -> None:
    async def texts(seed: int) -> list[str]:
        async with simulate(seed=seed) as client:
            answers = [await client.post("/v1/completions", prompt="x") for _ in range(3)]
            return [answer["choices"][0]["text"] for _, answer in answers]

    assert asyncio.run(texts(1)) == asyncio.run(texts(1)) != asyncio.run(texts(2))


def test_the_server_ends_although_a_request_waits(simulate: Any) -> None:
    async def check() -> None:
        async with simulate(faults={"stalled": True}) as client:
            waiting = asyncio.create_task(client.post("/v1/completions", prompt="x"))
            await client.until(lambda: client.deployment.engine.scheduler.busy)
        with pytest.raises((aiohttp.ClientError, RuntimeError)):
            await waiting

    asyncio.run(check())
