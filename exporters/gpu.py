"""``firsttoken gpu``: a metrics page of this machine's GPUs, where no exporter runs."""

import importlib
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import click
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from firsttoken.errors import UsageError
from firsttoken.exporters import nvml, rocm
from firsttoken.exporters.gpus import Page, Reading, place

__all__ = ["gpu"]

Read = Callable[[], Sequence[Reading]]


class _Address(click.ParamType[tuple[str, int]]):
    name = "address"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        host, _, port = str(value).rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) < 65536):
            self.fail("expected HOST:PORT, with port 0 for any free one", param, ctx)
        return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 (as other exporters)


@click.command(
    epilog="""\b
Examples:
  firsttoken gpu --listen 127.0.0.1:9401
  firsttoken gpu --once
"""
)
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:9401", show_default=True,
              type=_Address(), help="Where to serve; port 0 takes a free one.")  # fmt: skip
@click.option("--once", is_flag=True, help="Print the page and end.")
def gpu(listen: tuple[str, int], once: bool) -> None:
    """Serve this machine's GPUs under the conventions' names, where no GPU exporter runs.

    They are read from NVML (needs nvidia-ml-py) or AMD SMI (needs amdsmi), for each request anew.
    OTEL_RESOURCE_ATTRIBUTES says whose they are (k8s.pod.name=...,k8s.namespace.name=...); of the
    UUIDs in NVIDIA_VISIBLE_DEVICES only those are served.  Without a GPU the exit code is 2.
    """
    registry = CollectorRegistry()
    registry.register(Page(_reader()))
    if once:
        click.echo(generate_latest(registry), nl=False)
        return
    ends = {signal.SIGTERM, signal.SIGINT}
    # Before the server's thread begins, so that it does not take the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    host, port = listen
    server, thread = start_http_server(port, host, registry)
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"listening http://{shown}:{server.server_port}")
    signal.sigwait(ends)
    server.shutdown()
    server.server_close()
    thread.join()


def _reader() -> Read:
    """What reads the GPUs that there are; raises UsageError where there are none."""
    where = place(os.environ)
    visible = os.environ.get("NVIDIA_VISIBLE_DEVICES", "")
    reasons = []
    libraries: tuple[tuple[str, str, Any, Callable[[ModuleType], Any]], ...] = (
        ("NVML", "pynvml", nvml, lambda m: nvml.read(m, where, visible)),
        ("AMD SMI", "amdsmi", rocm, lambda m: rocm.read(m, where)),
    )
    for title, name, part, read in libraries:
        try:
            module = importlib.import_module(name)
        except (ImportError, OSError, KeyError) as exc:
            # AMD's binding looks for its library while it is imported.
            reasons.append(f"{title}: {exc}")
            continue
        reason = part.start(module)
        if reason is None:
            return partial(_all, read, module)
        reasons.append(f"{title}: {reason}")
    raise UsageError(f"no GPU is found ({'; '.join(reasons)})")


def _all(read: Callable[[ModuleType], Any], module: ModuleType) -> Sequence[Reading]:
    return tuple(read(module))
