"""The OpenAI-compatible endpoints: from a request to the engine, and from its tokens to bytes."""

import asyncio
import json
import time
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from firsttoken.simulate.engine import Engine, Job
from firsttoken.simulate.protocol import (
    ApiError,
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    GenerationRequest,
    TokenizeRequest,
    parse,
)
from firsttoken.simulate.responses import (
    DONE,
    ChatFormat,
    CompletionFormat,
    Format,
    Head,
    event,
)
from firsttoken.simulate.settings import Simulation
from firsttoken.simulate.tokenizer import Tokenizer

__all__ = ["VERSION", "Api", "errors_as_json", "json_body"]

VERSION = "0.32.0"
"""The vLLM whose API and metrics this is."""

_STATUS_TEXT = {404: "Not Found", 405: "Method Not Allowed", 413: "Request Entity Too Large"}


async def json_body(request: web.Request) -> object:
    """The JSON of a request; raises ApiError when it is none."""
    if request.content_type != "application/json":
        raise ApiError(
            "Unsupported Media Type: Only 'application/json' is allowed", kind="Bad Request"
        )
    try:
        return json.loads(await request.read())
    except ValueError as exc:
        raise ApiError(f"The body is not JSON: {exc}", kind="Bad Request", param="body") from None


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error has the shape that OpenAI's clients expect."""
    try:
        return await handler(request)
    except ApiError as exc:
        return web.json_response(exc.body, status=exc.status)
    except web.HTTPException as exc:
        text = _STATUS_TEXT.get(exc.status, exc.reason)
        error = ApiError(text, status=exc.status, kind=text)
        return web.json_response(error.body, status=exc.status)


class Api:
    """The endpoints of one engine."""

    def __init__(self, simulation: Simulation, engine: Engine) -> None:
        self._simulation = simulation
        self._engine = engine
        self._tokenizer = Tokenizer()
        self._created = int(time.time())

    def routes(self) -> list[web.RouteDef]:
        """What to add to an application."""
        return [
            web.get("/v1/models", self.models),
            web.post("/v1/completions", self.completions),
            web.post("/v1/chat/completions", self.chat),
            web.post("/tokenize", self.tokenize),
            web.post("/detokenize", self.detokenize),
            web.get("/version", self.version),
            web.get("/health", self.health),
            web.get("/ping", self.health),
        ]

    async def models(self, _request: web.Request) -> web.Response:
        """The one model."""
        simulation = self._simulation
        card = {
            "id": simulation.model,
            "object": "model",
            "created": self._created,
            "owned_by": "firsttoken",
            "root": simulation.model,
            "parent": None,
            "max_model_len": simulation.parameters.max_model_len,
            "permission": [],
        }
        return web.json_response({"object": "list", "data": [card]})

    async def health(self, _request: web.Request) -> web.Response:
        """200 while the server runs, also with a stalled engine, as in vLLM."""
        return web.Response()

    async def version(self, _request: web.Request) -> web.Response:
        """vLLM's version; ``simulated`` tells the two apart."""
        return web.json_response({"version": VERSION, "simulated": True})

    async def tokenize(self, request: web.Request) -> web.Response:
        """Token ids of a text or a conversation."""
        body = parse(await json_body(request), TokenizeRequest, self._simulation.model)
        ids = body.ids(self._tokenizer)
        strings = [self._tokenizer.token(i) for i in ids] if body.return_token_strs else None
        answer: dict[str, Any] = {
            "count": len(ids),
            "max_model_len": self._simulation.parameters.max_model_len,
            "tokens": ids,
            "token_strs": strings,
        }
        return web.json_response(answer)

    async def detokenize(self, request: web.Request) -> web.Response:
        """The text of token ids."""
        body = parse(await json_body(request), DetokenizeRequest, self._simulation.model)
        return web.json_response({"prompt": body.text(self._tokenizer)})

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """Continue a prompt."""
        arrival = await _arrival()
        body = parse(await json_body(request), CompletionRequest, self._simulation.model)
        return await self._generate(request, body, arrival)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        arrival = await _arrival()
        body = parse(await json_body(request), ChatRequest, self._simulation.model)
        return await self._generate(request, body, arrival)

    async def _generate(
        self, request: web.Request, body: GenerationRequest, arrival: float
    ) -> web.StreamResponse:
        prompt = body.prompt_ids(self._tokenizer)
        wish = body.wish(len(prompt), self._simulation.parameters.max_model_len)
        head = Head(
            *(self._simulation.model, prompt, bool(body.return_token_ids)),
            *(body.usage_always, body.usage_at_end),
        )
        form: Format = ChatFormat(head) if isinstance(body, ChatRequest) else CompletionFormat(head)
        job = self._engine.submit(prompt, wish, arrival)
        try:
            if body.stream:
                return await _stream(request, job, form, usage_at_end=body.usage_at_end)
            return await _whole(job, form)
        finally:
            # Reached by cancellation when the client has gone.
            self._engine.abort(job)


async def _arrival() -> float:
    """The time now; all requests that came at once get theirs before work on any begins."""
    now = asyncio.get_running_loop().time()
    await asyncio.sleep(0)
    return now


async def _whole(job: Job, form: Format) -> web.Response:
    async for delta in job.deltas():
        if delta.finish_reason == "error":
            raise _failure()
    return web.json_response(form.body(job.answer))


async def _stream(
    request: web.Request, job: Job, form: Format, *, usage_at_end: bool
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    answer = job.answer
    before = form.opening()
    async for delta in job.deltas():
        if delta.finish_reason == "error":
            await response.write(event(_failure().body) + DONE)
            break
        text = "".join(answer.texts[delta.start : delta.end])
        tokens = answer.tokens[delta.start : delta.end]
        data = before + form.chunk(text, tokens, delta.end, answer, delta.finish_reason)
        before = b""
        if delta.finish_reason is not None:
            if usage_at_end:
                data += form.closing(delta.end)
            data += DONE
        await response.write(data)
    await response.write_eof()
    return response


def _failure() -> ApiError:
    return ApiError("Internal server error", status=500, kind="InternalServerError")
