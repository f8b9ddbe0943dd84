"""The collector over HTTP: the page, its state for programs and people, and probes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from firsttoken.collector.access import Access
from firsttoken.collector.collector import VIA, Collector
from firsttoken.collector.console import console
from firsttoken.collector.form import negotiate
from firsttoken.collector.packing import packed

__all__ = ["Served", "application", "patience"]

HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
_MARGIN, _MOST = 0.05, 0.5
_WORTH_PACKING = 1024
_PROBE_SECONDS = 0.9
"""How long a readiness probe may take; Kubernetes waits a second for it."""
_OPEN = ("/healthz", "/readyz")


@dataclass
class Served:
    """What is served now; another configuration puts another collector in its place."""

    collector: Collector
    access: Access | None = None
    stopping: bool = False
    scraped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set after each page."""


SERVED: web.AppKey[Served] = web.AppKey("served", Served)


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


def application(served: Served) -> web.Application:
    """The web application around a collector."""
    app = web.Application(middlewares=[_guarded])
    app[SERVED] = served
    app.router.add_get("/", _console)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/sources", _sources)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    return app


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
    access = request.app[SERVED].access
    if access is not None and request.path not in _OPEN:
        allowed = await access.allows(request.headers.get("Authorization"))
        if not allowed:
            challenge = {"WWW-Authenticate": "Bearer"}
            return web.Response(status=401, text="a bearer token is needed\n", headers=challenge)
    return await handler(request)


async def _metrics(request: web.Request) -> web.Response:
    served = request.app[SERVED]
    collector = served.collector
    if request.headers.get(VIA) == collector.identity:
        return web.Response(status=508, text="the collector is a source of itself\n")
    form = negotiate(", ".join(request.headers.getall("Accept", [])))
    limit = patience(request.headers.get(HEADER), collector.settings.timeout)
    answer = await collector.answer(form, limit)
    served.scraped.set()
    if not answer.any_up:
        # The scraper's own "up" must show it; an empty page would look like a service at rest.
        reasons = "".join(f"{r.source}: {r.reason}: {r.detail}\n" for r in answer.results)
        return web.Response(status=503, text=f"no source could be read\n{reasons}")
    headers = {"Content-Type": form.content_type, "Vary": "Accept, Accept-Encoding"}
    body = answer.page
    if len(body) >= _WORTH_PACKING and _takes_gzip(request.headers.get("Accept-Encoding", "")):
        body = packed(body)
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


async def _readyz(request: web.Request) -> web.Response:
    """Whether a scrape would be answered with something."""
    served = request.app[SERVED]
    if served.stopping:
        return web.Response(status=503, text="stopping\n")
    results = await served.collector.results(_PROBE_SECONDS)
    told = "".join(f"{r.source}: {'up' if r.up else r.reason}\n" for r in results)
    return web.Response(status=200 if any(r.up for r in results) else 503, text=told)


async def _sources(request: web.Request) -> web.Response:
    collector = request.app[SERVED].collector
    collisions = [
        {"family": c.family, "source": c.source, "reason": c.reason} for c in collector.collisions
    ]
    return web.json_response({"sources": collector.state(), "collisions": collisions})


async def _console(request: web.Request) -> web.Response:
    collector = request.app[SERVED].collector
    if not any(source.last for source in collector.sources):
        await collector.results(_PROBE_SECONDS)
    page = console(collector.state(), collector.collisions)
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return web.Response(text=page, content_type="text/html", headers=headers)
