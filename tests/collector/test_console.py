"""The page for people, in a browser."""

import asyncio
import subprocess
from pathlib import Path

from tests.collector.conftest import response, settings, upstream
from tests.collector.test_merge import VLLM
from tests.collector.test_serving import served

from firsttoken.collector.console import console
from firsttoken.collector.merge import Collision

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
)


def shown(url: str, folder: Path) -> str:
    """The page's document as Chromium has it, after it was drawn."""
    done = subprocess.run(
        ["chromium", *FLAGS, f"--user-data-dir={folder}", "--dump-dom", url],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    return done.stdout


def test_a_browser_shows_sources_and_what_became_of_their_families(tmp_path: Path) -> None:
    async def run(*urls: str) -> str:
        async with served(settings(*urls)) as (client, base):
            async with client.get(f"{base}/metrics") as scraped:
                assert scraped.status == 200
            return await asyncio.to_thread(shown, f"{base}/", tmp_path)

    with upstream(response(VLLM)) as good, upstream(response(b"", status=500)) as bad:
        text = asyncio.run(run(good.url, bad.url))

    assert "<title>firsttoken collector: 1 of 2 sources up</title>" in text
    # The rows were parsed as rows, each of two cells.
    assert (
        "<tr><td>vllm:num_requests_running</td><td>gen_ai_server_requests_running</td></tr>" in text
    )
    assert "<td>vllm:not_in_the_catalogue</td>" in text
    assert "status: answered HTTP 500" in text


def test_nothing_that_a_source_says_becomes_part_of_the_page() -> None:
    evil = "<script>alert(1)</script>"
    state = {
        "name": "a",
        "url": f"http://h/{evil}",
        "profile": None,
        "up": False,
        "reason": "malformed",
        "error": evil,
        "restarts": 0,
        "since": None,
        "resource": {"k": evil},
    }
    page = console([state], [Collision(evil, "a", evil)])

    assert evil not in page
    assert page.count("&lt;script&gt;") == 5
