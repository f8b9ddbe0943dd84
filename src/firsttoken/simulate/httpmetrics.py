"""The ``http_*`` families that vLLM's server has besides: requests, sizes and durations by handler.

They are those of its FastAPI instrumentation: a status is a class such as ``2xx``, a path that no
handler has is ``none``, and some handlers (``/metrics``, ``/health``, ...) are not counted.
"""

import asyncio
import re

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Histogram, Summary

__all__ = ["HttpMetrics"]

_FINE = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5),
    *(7.5, 10, 30, 60),
)
_EXCLUDED = re.compile("/metrics|/health|/load|/ping|/version|/server_info|/faults")


class HttpMetrics:
    """The families, and ``middleware`` that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "http_requests_total",
            "Requests by method, class of status and handler.",
            ["method", "status", "handler"],
            registry=registry,
        )
        self._request_size = Summary(
            "http_request_size_bytes", "Size of requests.", ["handler"], registry=registry
        )
        self._response_size = Summary(
            "http_response_size_bytes", "Size of responses.", ["handler"], registry=registry
        )
        self._fine = Histogram(
            "http_request_duration_highr_seconds",
            "Duration of requests.",
            buckets=_FINE,
            registry=registry,
        )
        self._coarse = Histogram(
            "http_request_duration_seconds",
            "Duration of requests by handler.",
            ["method", "handler"],
            buckets=(0.1, 0.5, 1),
            registry=registry,
        )

        self._begun: dict[int, int] = {}  # status of responses that have begun, by request

    async def response_begins(self, request: web.Request, response: web.StreamResponse) -> None:
        """Note the status, which is all that is known when the client leaves later on."""
        self._begun[id(request)] = response.status

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request when its response has ended; as 5xx when it broke off before it began."""
        resource = request.match_info.route.resource
        name = resource.canonical if resource is not None else "none"
        if _EXCLUDED.search(name):
            return await handler(request)
        start = asyncio.get_running_loop().time()
        status, size = 500, 0
        try:
            response = await handler(request)
            status, size = response.status, response.content_length or 0
        except web.HTTPException as exc:
            status = exc.status
            raise
        finally:
            status = self._begun.pop(id(request), status)
            duration = asyncio.get_running_loop().time() - start
            self._requests.labels(request.method, f"{status // 100}xx", name).inc()
            self._request_size.labels(name).observe(request.content_length or 0)
            self._response_size.labels(name).observe(size)
            self._fine.observe(duration)
            self._coarse.labels(request.method, name).observe(duration)
        return response
