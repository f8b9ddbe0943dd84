"""The rules of objectives in a real Prometheus that scrapes a page of the test's own."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from firsttoken import servers
from firsttoken.prometheus import Prometheus
from firsttoken.rules import output
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Options
from firsttoken.rules.slo import SloFile

TEXT = "text/plain; version=0.0.4"


@contextlib.contextmanager
def serving(page: Callable[[float], bytes], content_type: str = TEXT) -> Iterator[str]:
    """The address of a server whose page is that of so many seconds after its start."""
    began = time.monotonic()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page(time.monotonic() - began)
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def watched(
    folder: Path,
    slo: SloFile,
    page: Callable[[float], bytes],
    content_type: str = TEXT,
    flags: Sequence[str] = (),
) -> Iterator[Prometheus]:
    """A Prometheus with the objectives' rules that scrapes the page every second."""
    rules = output.rule_file(rule_groups(slo, options=Options(scrape=1)))
    (folder / "rules.yaml").write_text(rules)
    with serving(page, content_type) as target:
        config = folder / "prometheus.yaml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            f"rule_files: [{folder / 'rules.yaml'}]\n"
            f"scrape_configs: [{{job_name: llm, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        with servers.prometheus(config, folder, flags=list(flags)) as (_, url):
            yield Prometheus(url)


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for the condition, which is asked five times a second."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.2)
