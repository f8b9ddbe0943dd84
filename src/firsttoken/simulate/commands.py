"""``firsttoken simulate``: the embedded engine as a server."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from firsttoken.config import load_yaml, validate_model
from firsttoken.errors import UsageError
from firsttoken.simulate import faults as fault_table
from firsttoken.simulate.parameters import describe
from firsttoken.simulate.server import serving
from firsttoken.simulate.settings import Simulation

__all__ = ["simulate"]

_EPILOG = f"""\b
Faults (--fault NAME=VALUE, or at run time PUT /faults with JSON):
{fault_table.describe()}

\b
Parameters (under "parameters" in the configuration file):
{describe()}

\b
Examples:
  firsttoken simulate --listen 127.0.0.1:8000
  firsttoken simulate --listen 127.0.0.1:0 --gpus 8 --gpu-vendor amd
  firsttoken simulate --fault prefill_slowdown=20 --fault failing_share=0.05
  curl -X PUT -H 'Content-Type: application/json' -d '{{"stalled": true}}' \\
    http://127.0.0.1:8000/faults
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--listen",
    default="127.0.0.1:8000",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to serve; port 0 takes a free one.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="A YAML file with model, seed, gpus, gpu_vendor, parameters and faults.",
)
@click.option("--model", help="The name that the engine serves.")
@click.option("--seed", type=int, help="Of everything random.")
@click.option("--gpus", type=int, help="GPUs on the exporter's page.")
@click.option("--gpu-vendor", type=click.Choice(["nvidia", "amd"]), help="Whose GPUs.")
@click.option("--fault", "faults", multiple=True, metavar="NAME=VALUE", help="See below.")
def simulate(
    listen: str, config_file: Path | None, faults: tuple[str, ...], **options: object
) -> None:
    """Serve an engine that behaves as vLLM does under load, with faults on demand.

    It has vLLM's API and metrics, and at /dcgm/metrics or /amd/metrics the page of a GPU exporter.
    """
    host, port = _address(listen)
    simulation = load_yaml(config_file, Simulation) if config_file else Simulation()
    given = {name: value for name, value in options.items() if value is not None}
    if given or faults:
        values = {name: getattr(simulation, name) for name in Simulation.model_fields}
        values["faults"] = fault_table.parse(faults, simulation.faults)
        simulation = validate_model({**values, **given}, Simulation, "simulate")
    _run(_serve(simulation, host, port))


async def _serve(simulation: Simulation, host: str, port: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with serving(simulation, host, port) as (_, url):
        print(f"listening {url}", flush=True)
        await ended.wait()


def _run(main: Coroutine[Any, Any, None]) -> None:
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f"--listen {text}: expected HOST:PORT, such as 127.0.0.1:8000")
    return host.strip("[]") or "127.0.0.1", int(port)
