"""A run's mark on Grafana's charts: an annotation with the tag ``loadtest``, from start to end.

It is made before the first request and completed after the last, so that nothing is sent or waited
for while anything is measured.  A Grafana that refuses or is not there costs the mark, not the run.
"""

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from firsttoken.errors import UsageError
from firsttoken.loadgen.record import Run
from firsttoken.loadgen.summary import summarise

__all__ = ["NO_MARK", "TAG", "TOKEN", "Finish", "address", "marked", "outcome", "plan"]

TAG = "loadtest"
TOKEN = "FIRSTTOKEN_GRAFANA_TOKEN"  # noqa: S105 - the variable that holds it
NO_MARK = "no annotation in Grafana"
"""How a warning begins that Grafana did not take a mark."""
TIMEOUT_S = 5.0

Finish = Callable[[Run], None]
Warn = Callable[[str], None]


class _RefusedError(Exception):
    """Raised when Grafana did not take an annotation; the text says why."""


def _send(method: str, url: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(  # noqa: S310 - http and https alone, by ``address``
        url, json.dumps(body).encode(), headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
            return found
    except urllib.error.HTTPError as exc:
        raise _RefusedError(f"HTTP {exc.code} {exc.reason}") from None
    except (OSError, ValueError) as exc:
        raise _RefusedError(str(getattr(exc, "reason", exc))) from None


def address(grafana: str, token: str | None) -> str:
    """Where annotations are posted; raises UsageError for an address or a token that cannot be."""
    parts = urlsplit(grafana)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"--grafana {grafana}: expected an address such as https://grafana.example"
        )
    if parts.username or parts.password:
        raise UsageError(f"--grafana: no user and password in the address, but a token in {TOKEN}")
    if not token:
        raise UsageError(f"--grafana needs a service account token in {TOKEN}")
    return f"{grafana.rstrip('/')}/api/annotations"


@contextlib.contextmanager
def marked(grafana: str | None, token: str | None, text: str, warn: Warn) -> Iterator[Finish]:
    """Mark a run that begins now; call what this gives with the run when it has ended.

    ``warn`` is told in one line what Grafana would not do.  A run that raises leaves a mark that
    ends where it broke.  Raises UsageError for an address or a token that cannot be.
    """
    if grafana is None:
        yield lambda _run: None
        return
    url, token = address(grafana, token), token or ""
    shown = f"{NO_MARK} at {grafana}"
    began, number = time.time(), None
    try:
        body = {"time": _ms(began), "tags": [TAG, "firsttoken"], "text": text}
        number = _send("POST", url, token, body).get("id")
    except _RefusedError as exc:
        warn(f"{shown}: {exc}")
    done: list[Run] = []
    try:
        yield done.append
    finally:
        ended = {"timeEnd": _ms(time.time()), "text": f"{text}: broken off"}
        if done:
            ended["time"] = _ms(done[0].started)
            ended["text"] = f"{text}: {outcome(done[0])}"
        if number is not None:
            try:
                _send("PATCH", f"{url}/{number}", token, ended)
            except _RefusedError as exc:
                warn(f"{shown} of the end: {exc}")


def plan(load: dict[str, Any], target: str) -> str:
    """What a run is about to do, in a line; without a password in the address."""
    arrivals = load["arrivals"]
    kind = arrivals["kind"]
    how = f"{kind} arrivals"
    if arrivals.get("rate") is not None:
        how = f"{arrivals['rate']:g} requests/s, {kind}"
    elif arrivals.get("concurrency") is not None:
        how = f"{arrivals['concurrency']} requests at once"
    return f"load test of {_without_password(target)}, {how}"


def outcome(run: Run) -> str:
    """How a run fared, in a line."""
    summary = summarise(run)
    failed = sum(summary.failed.values())
    told = [f"{summary.requests} requests", f"{failed} failed"]
    told.append(f"{summary.output_rate:.0f} output tokens/s")
    if summary.ttft is not None:
        told.append(f"TTFT p95 {summary.ttft.p95 * 1000:.0f} ms")
    return ", ".join([*told, *(["interrupted"] if run.interrupted else [])])


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
