"""``firsttoken gpu``: a metrics page of this machine's GPUs, where no exporter runs."""

import contextlib
import importlib
import os
import signal
from collections.abc import Mapping, Sequence
from functools import partial
from types import ModuleType

import click
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from firsttoken.errors import UsageError
from firsttoken.exporters import nvml, rocm
from firsttoken.exporters.gpus import Page, Reading, place
from firsttoken.exporters.xid import XidWatch

__all__ = ["gpu"]

_ENDS = {signal.SIGTERM, signal.SIGINT}


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
    devices that NVIDIA_VISIBLE_DEVICES or ROCR_VISIBLE_DEVICES names only those are served.  The
    exit code without a GPU is 2.
    """
    part, module = _library()
    # Before any thread begins, so that none takes the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    registry = CollectorRegistry()
    with contextlib.ExitStack() as stack:
        # A page that is read but once leaves no time to hear of errors.
        listens = part is nvml and not once
        xids = stack.enter_context(XidWatch(module)).last if listens else {}
        read = partial(_read, module, part is nvml, place(os.environ), xids)
        if not read():
            raise UsageError(
                "no GPU is found that NVIDIA_VISIBLE_DEVICES or ROCR_VISIBLE_DEVICES names"
            )
        registry.register(Page(read))
        if once:
            click.echo(generate_latest(registry), nl=False)
        else:
            _serve(listen, registry)


def _serve(listen: tuple[str, int], registry: CollectorRegistry) -> None:
    """Serve until SIGTERM or SIGINT; raises UsageError when the address cannot be listened on."""
    host, port = listen
    shown = f"[{host}]" if ":" in host else host
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as exc:
        raise UsageError(f"cannot listen on {shown}:{port}: {exc.strerror}") from None
    click.echo(f"listening http://{shown}:{server.server_port}")
    signal.sigwait(_ENDS)
    server.shutdown()
    server.server_close()
    thread.join()


def _library() -> tuple[ModuleType, ModuleType]:
    """The part that reads the GPUs that there are, and its library; raises UsageError without."""
    reasons = []
    for title, name, part in (("NVML", "pynvml", nvml), ("AMD SMI", "amdsmi", rocm)):
        try:
            module = importlib.import_module(name)
        except (ImportError, OSError, KeyError) as exc:
            # AMD's binding looks for its library while it is imported.
            reasons.append(f"{title}: {exc}")
            continue
        reason = part.start(module)
        if reason is None:
            return part, module
        reasons.append(f"{title}: {reason}")
    raise UsageError(f"no GPU is found ({'; '.join(reasons)})")


def _read(
    module: ModuleType, nvidia: bool, where: Mapping[str, str], xids: Mapping[str, int]
) -> Sequence[Reading]:
    if nvidia:
        visible = os.environ.get("NVIDIA_VISIBLE_DEVICES", "")
        return tuple(nvml.read(module, where, visible, xids))
    return tuple(rocm.read(module, where, os.environ.get("ROCR_VISIBLE_DEVICES", "")))
