"""Reach the server before the run: which model, what it may be asked, what engine it is."""

import json
from typing import Any, NamedTuple

from firsttoken.errors import NotJudgedError, UsageError
from firsttoken.loadgen.client import Client
from firsttoken.loadgen.plan import Workload
from firsttoken.loadgen.settings import LoadFile, api_key

__all__ = ["Served", "client_for", "reach"]


class Served(NamedTuple):
    """What a server said of itself; ``context`` is the longest prompt with answer, in tokens."""

    model: str
    engine: str | None
    context: int | None


def client_for(target: str, load: LoadFile) -> Client:
    """A client with the load's headers and the key from the environment.  Raises UsageError."""
    headers = load.resolved_headers()
    key = api_key(load.api_key_file)
    if key and "authorization" not in {name.lower() for name in headers}:
        headers["Authorization"] = f"Bearer {key}"
    return Client(target, headers)


async def reach(client: Client, load: LoadFile, workload: Workload) -> Served:
    """Ask the server what it serves.

    Raises NotJudgedError when it cannot be reached or refuses, UsageError for models or lengths
    that it does not serve.
    """
    try:
        status, body = await client.fetch("GET", "/v1/models")
    except OSError as exc:
        raise NotJudgedError(f"{client.target}: cannot be reached: {exc}") from None
    if status in {401, 403}:
        raise NotJudgedError(
            f"{client.target}: refused (HTTP {status}); a key is taken from FIRSTTOKEN_API_KEY"
        )
    models = _models(body) if status == 200 else []
    if not models:
        if load.model is None or status == 200:
            raise NotJudgedError(f"{client.target}: /v1/models names no model (HTTP {status})")
        return Served(load.model, await _engine(client, None), None)
    chosen = _choose(models, load.model, workload.models)
    context = chosen.get("max_model_len")
    _fits(workload.longest, context if isinstance(context, int) else None)
    return Served(
        str(chosen["id"]),
        await _engine(client, chosen.get("owned_by")),
        context if isinstance(context, int) else None,
    )


def _models(body: bytes) -> list[dict[str, Any]]:
    try:
        data = json.loads(body)["data"]
    except (ValueError, KeyError, TypeError):
        return []
    if not isinstance(data, list):
        return []
    return [entry for entry in data if isinstance(entry, dict) and entry.get("id")]


def _choose(
    models: list[dict[str, Any]], wanted: str | None, others: frozenset[str]
) -> dict[str, Any]:
    names = [str(model["id"]) for model in models]
    for name in (wanted, *sorted(others)):
        if name is not None and name not in names:
            raise UsageError(f"model {name!r} is not served (served: {', '.join(names)})")
    if wanted is not None:
        return models[names.index(wanted)]
    # Adapters are listed beside the model they belong to, their parent.
    own = [model for model in models if not model.get("parent")] or models
    if len(own) > 1 and not others:
        raise UsageError(f"several models are served, name one: {', '.join(names)}")
    return own[0]


def _fits(longest: int | None, context: int | None) -> None:
    if context is not None and longest is not None and longest > context:
        raise UsageError(
            f"prompt and answer of up to {longest} tokens do not fit into the model's {context}"
        )


async def _engine(client: Client, owner: object) -> str | None:
    """Such as ``vllm 0.32.0``: who the models' list says owns them, and what /version says."""
    try:
        status, body = await client.fetch("GET", "/version")
        version = json.loads(body)["version"] if status == 200 else None
    except (OSError, ValueError, KeyError, TypeError):
        version = None
    parts = [part for part in (owner, version) if isinstance(part, str) and part]
    return " ".join(parts) or None
