"""The collector over HTTP: ``/metrics``, ``/healthz`` and ``/sources``."""

import asyncio
import gzip
import signal
from collections.abc import Callable

from aiohttp import web

from firsttoken.collector.collector import Collector
from firsttoken.collector.form import negotiate
from firsttoken.collector.settings import Settings, split_listen
from firsttoken.errors import UsageError

__all__ = ["application", "patience", "serve"]

COLLECTOR: web.AppKey[Collector] = web.AppKey("collector", Collector)
HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
_MARGIN, _MOST = 0.05, 0.5
_WORTH_PACKING = 1024


def patience(header: str | None, default: float) -> float:
    """How long an answer may take, in seconds: what the scraper waits, less the way back.

    The margin is a twentieth, and half a second at most.  Without the header, or with one that
    says nothing, it is ``default``.
    """
    try:
        told = float(header or "")
    except ValueError:
        return default
    if not 0 < told < 3600:
        return default
    return told - min(_MARGIN * told, _MOST)


def application(collector: Collector) -> web.Application:
    """The web application around a collector."""
    app = web.Application()
    app[COLLECTOR] = collector
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/sources", _sources)
    return app


async def _metrics(request: web.Request) -> web.Response:
    collector = request.app[COLLECTOR]
    form = negotiate(", ".join(request.headers.getall("Accept", [])))
    limit = patience(request.headers.get(HEADER), collector.settings.timeout)
    answer = await collector.answer(form, limit)
    if not answer.any_up:
        # The scraper's own "up" must show it; an empty page would look like a service at rest.
        reasons = "".join(f"{r.source}: {r.reason}: {r.detail}\n" for r in answer.results)
        return web.Response(status=503, text=f"no source could be read\n{reasons}")
    headers = {"Content-Type": form.content_type, "Vary": "Accept, Accept-Encoding"}
    body = answer.page
    if len(body) >= _WORTH_PACKING and _takes_gzip(request.headers.get("Accept-Encoding", "")):
        # The fastest level: a page of metrics packs tenfold at any.
        body = gzip.compress(body, compresslevel=1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers)


def _takes_gzip(header: str) -> bool:
    for item in header.lower().split(","):
        coding, _, parameter = item.partition(";")
        if coding.strip() in ("gzip", "*"):
            return parameter.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _sources(request: web.Request) -> web.Response:
    collector = request.app[COLLECTOR]
    collisions = [
        {"family": c.family, "source": c.source, "reason": c.reason} for c in collector.collisions
    ]
    return web.json_response({"sources": collector.state(), "collisions": collisions})


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` is given the URL when it is ready.

    Raises UsageError when the address cannot be listened on.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    host, port = split_listen(settings.listen)
    async with Collector(settings) as collector:
        runner = web.AppRunner(application(collector), access_log=None, shutdown_timeout=5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
            bound = runner.addresses[0]
            shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            announce(f"http://{shown}:{bound[1]}")
            await stopped.wait()
        except OSError as exc:
            reason = exc.strerror or type(exc).__name__
            raise UsageError(f"cannot listen on {settings.listen}: {reason}") from None
        finally:
            await runner.cleanup()
