"""A load client as one writes it first, on aiohttp: the yardstick that needs nothing installed.

``python -m benchmarks.plain URL RATE SECONDS PROMPT TOKENS OUT`` asks in an open loop, notes the
time of each event, and writes the times to the first token and the lag to ``OUT`` as JSON.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path

import aiohttp

__all__ = ["main"]


async def _ask(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> list[float]:
    """The moments of sending and of each event with a piece of text."""
    times = [time.perf_counter()]
    async with session.post(f"{url}/v1/completions", json=body) as answer:
        return times + [
            time.perf_counter()
            async for line in answer.content
            if line.startswith(b"data: {") and json.loads(line[6:])["choices"]
        ]


async def _load(
    url: str, rate: float, seconds: float, prompt: int, tokens: int
) -> dict[str, list[float]]:
    body: dict[str, object] = {
        "model": "fake", "prompt": [7] * prompt, "max_tokens": tokens, "stream": True,
    }  # fmt: skip
    draw = random.Random(1)
    lags, tasks = [], []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        start = due = time.perf_counter()
        while (due := due + draw.expovariate(rate)) < start + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            lags.append(time.perf_counter() - due)
            tasks.append(asyncio.create_task(_ask(session, url, body)))
        answers = await asyncio.gather(*tasks)
    return {"ttfts": [times[1] - times[0] for times in answers if len(times) > 1], "lags": lags}


def main() -> None:
    """Run it as its arguments say."""
    url, rate, seconds, prompt, tokens, out = sys.argv[1:]
    told = asyncio.run(_load(url, float(rate), float(seconds), int(prompt), int(tokens)))
    Path(out).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
