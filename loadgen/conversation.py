"""What an answer said, so that the next turn of a conversation can be asked with it."""

import json

from firsttoken.loadgen.sse import Decoder

__all__ = ["said"]


def said(body: bytes) -> str:
    """The text of a streamed chat completion; what a model thought aloud is not part of it."""
    texts: list[str] = []
    for event in Decoder().feed(body):
        try:
            text = json.loads(event.data)["choices"][0]["delta"]["content"]
        except (ValueError, LookupError, TypeError):
            continue
        if isinstance(text, str):
            texts.append(text)
    return "".join(texts)
