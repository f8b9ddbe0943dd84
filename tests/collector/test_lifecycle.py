"""The process: its configuration read again, and its end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from tests.collector.conftest import GOOD, response, samples, upstream

from firsttoken import servers

COLLECT = [sys.executable, "-m", "firsttoken", "collect"]
OTHER = b"other_length 9\n"


@contextlib.contextmanager
def running(config: Path, folder: Path) -> Iterator[tuple[servers.Child, str]]:
    command = [*COLLECT, "--config", str(config)]
    with servers.start("collector", command, folder / "collector.log") as child:
        yield child, servers.announced_address(child)


def write(file: Path, *urls: str, **more: Any) -> None:
    sources = [{"name": f"s{place}", "url": url} for place, url in enumerate(urls)]
    file.write_text(yaml.safe_dump({"listen": "127.0.0.1:0", "sources": sources, **more}))


def page(url: str) -> dict[str, str]:
    return samples(requests.get(f"{url}/metrics", timeout=20).content)


def test_the_configuration_is_read_again_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    with upstream(response(GOOD)) as one, upstream(response(OTHER)) as two:
        write(file, one.url)
        with running(file, tmp_path) as (child, url):
            assert page(url)["firsttoken_collector_config_loaded"] == "1"

            write(file, one.url, nonsense=1)
            child.process.send_signal(signal.SIGHUP)
            servers.wait_until(
                child, lambda: page(url)["firsttoken_collector_config_loaded"] == "0"
            )
            assert page(url)["queue_length"] == "7"
            assert "nonsense: unknown key" in child.log.read_text()

            write(file, one.url, two.url, listen="127.0.0.1:1")
            child.process.send_signal(signal.SIGHUP)
            servers.wait_until(child, lambda: page(url).get("other_length") == "9")
            assert page(url)["firsttoken_collector_config_loaded"] == "1"
            assert "only a restart changes listen" in child.log.read_text()


def test_an_answer_that_is_being_made_is_finished_before_the_end(tmp_path: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def wait(sock: Any) -> None:
        asked.set()
        go_on.wait(60)
        sock.sendall(response(GOOD))

    file = tmp_path / "c.yaml"
    got: list[dict[str, str]] = []
    with upstream(wait) as slow:
        write(file, slow.url)
        with running(file, tmp_path) as (child, url):
            scraper = threading.Thread(target=lambda: got.append(page(url)))
            scraper.start()
            assert asked.wait(60)
            child.process.send_signal(signal.SIGTERM)
            go_on.set()
            scraper.join(20)
            assert child.process.wait(60) == 0

    assert got[0]["queue_length"] == "7"


@pytest.mark.parametrize(
    "ends", [lambda _, url: page(url), lambda child, _: child.process.send_signal(signal.SIGINT)]
)
def test_a_last_scrape_is_waited_for(
    ends: Callable[[servers.Child, str], object], tmp_path: Path
) -> None:
    file = tmp_path / "c.yaml"
    with upstream(response(GOOD)) as source:
        write(file, source.url, linger="60s")
        with running(file, tmp_path) as (child, url):
            assert page(url)["queue_length"] == "7"
            child.process.send_signal(signal.SIGTERM)
            servers.wait_until(
                child, lambda: requests.get(f"{url}/readyz", timeout=20).text == "stopping\n"
            )
            began = time.monotonic()
            ends(child, url)
            assert child.process.wait(60) == 0
            assert time.monotonic() - began < 50


def test_the_environment_configures_it(tmp_path: Path) -> None:
    with upstream(response(GOOD)) as source:
        told = {
            "FIRSTTOKEN_COLLECT_SOURCES": f"a={source.url}",
            "FIRSTTOKEN_COLLECT_LISTEN": "127.0.0.1:0",
            "FIRSTTOKEN_COLLECT_UNKNOWN": "drop",
        }
        command = ["env", *(f"{k}={v}" for k, v in told.items()), *COLLECT]
        with servers.start("collector", command, tmp_path / "log") as child:
            found = page(servers.announced_address(child))

    assert found['firsttoken_collector_source_up{firsttoken_source="a"}'] == "1"
    assert "queue_length" not in found


def test_a_wrong_value_in_the_environment_is_one_line() -> None:
    done = subprocess.run(
        [*COLLECT, "--source", "a=1"],
        env={**os.environ, "FIRSTTOKEN_COLLECT_TIMEOUT": "soon"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert done.returncode == 2
    assert "timeout: expected a duration" in done.stderr
    assert len(done.stderr.splitlines()) == 1
