"""The collector as a process: listening, reading its configuration again, ending."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from firsttoken.collector.access import access
from firsttoken.collector.collector import Collector
from firsttoken.collector.guard import Gate
from firsttoken.collector.server import Served, application
from firsttoken.collector.settings import Settings, split_listen
from firsttoken.collector.tls import Certificate
from firsttoken.errors import FirstTokenError, UsageError

__all__ = ["serve", "settle", "watched"]

log = logging.getLogger("firsttoken.collector")

_HANDSHAKE_SECONDS = 10.0
_FIXED = ("listen", "tls", "max_connections", "otlp")
"""What another configuration cannot change while it is served."""


def settle() -> None:
    """Tune the search for cycles of dead objects to a process that makes hardly any.

    A new page makes many objects that live long; as Python comes, they are all looked at again and
    again while they are made.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def serve(
    read: Callable[[], Settings],
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` is given the URL when it is ready.

    ``read`` gives the configuration, and is asked again on SIGHUP.  Raises UsageError when the
    address cannot be listened on.
    """
    settings = read()
    stopped, reload = asyncio.Event(), asyncio.Event()
    gently = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    loop.add_signal_handler(signal.SIGTERM, _set, gently, stopped)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    served = Served(await Collector(settings).__aenter__())
    served.access = access(settings.auth) if settings.auth else None
    runner = web.AppRunner(
        application(served),
        access_log=None,
        shutdown_timeout=settings.timeout,
    )
    reloading = asyncio.create_task(_reload(served, read, reload))
    try:
        await runner.setup()
        server = await _listen(settings, runner)
        async with _pushing(served, settings):
            settle()
            announce(_url(server, settings))
            await stopped.wait()
            if gently.is_set():
                await _linger(served, stopped)
        server.close()
    finally:
        reloading.cancel()
        await runner.cleanup()
        await served.collector.__aexit__(None, None, None)


@contextlib.asynccontextmanager
async def _pushing(served: Served, settings: Settings) -> AsyncIterator[None]:
    """Push over OTLP while the block runs, where that is configured."""
    if settings.otlp is None:
        yield
        return
    try:
        from firsttoken.collector.push import pushing
    except ImportError as exc:  # the sidecar that only serves does without these packages
        raise UsageError(f"otlp: needs firsttoken[otlp] to be installed ({exc})") from None
    async with pushing(lambda: served.collector, settings.otlp):
        yield


def _set(*events: asyncio.Event) -> None:
    for event in events:
        event.set()


async def _listen(settings: Settings, runner: web.AppRunner) -> asyncio.Server:
    host, port = split_listen(settings.listen)
    server = runner.server
    assert server is not None  # noqa: S101 (set up already)
    gate: Callable[[], asyncio.Protocol] = Gate(server, settings.max_connections)
    certificate = Certificate(settings.tls) if settings.tls else None
    if certificate is not None:
        gate = watched(certificate, gate)
    context = certificate.context if certificate else None
    try:
        loop = asyncio.get_running_loop()
        limit = _HANDSHAKE_SECONDS if context else None
        return await loop.create_server(
            gate, host, port, ssl=context, ssl_handshake_timeout=limit, backlog=128
        )
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise UsageError(f"cannot listen on {settings.listen}: {reason}") from None


def watched(
    certificate: Certificate, gate: Callable[[], asyncio.Protocol]
) -> Callable[[], asyncio.Protocol]:
    """A gate that looks for a new certificate first: it is asked before each handshake."""

    def made() -> asyncio.Protocol:
        wrong = certificate.refresh()
        if wrong:
            log.error("the old certificate stays in use: %s", wrong)
        return gate()

    return made


def _url(server: asyncio.Server, settings: Settings) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls else 'http'}://{shown}:{port}"


async def _linger(served: Served, stopped: asyncio.Event) -> None:
    """Let a last scrape through: until one was answered, the time is up, or a second signal."""
    seconds = served.collector.settings.linger
    served.stopping = True
    if not seconds:
        return
    served.scraped.clear()
    stopped.clear()
    log.info("stopping: a last scrape is waited for, %.3g s at most", seconds)
    waiting = [asyncio.create_task(event.wait()) for event in (served.scraped, stopped)]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def _reload(served: Served, read: Callable[[], Settings], asked: asyncio.Event) -> None:
    """Read the configuration whenever it is asked for; one that is wrong changes nothing."""
    while True:
        await asked.wait()
        asked.clear()
        old = served.collector
        try:
            settings = await asyncio.to_thread(read)
            new = await Collector(_kept(settings, old.settings)).__aenter__()
        except FirstTokenError as exc:
            old.config_loaded = False
            log.warning("the old configuration stays in use: %s", " ".join(str(exc).split()))
            continue
        served.collector = new
        served.access = access(new.settings.auth) if new.settings.auth else None
        log.info("configuration read again: %d sources", len(new.sources))
        # Answers that are being made still need the old one's connections.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(old.settings.timeout):
                await old.idle.wait()
        await old.__aexit__(None, None, None)


def _kept(settings: Settings, old: Settings) -> Settings:
    changed = [key for key in _FIXED if getattr(settings, key) != getattr(old, key)]
    if changed:
        log.warning("only a restart changes %s", " and ".join(changed))
    return settings.model_copy(update={key: getattr(old, key) for key in _FIXED})
