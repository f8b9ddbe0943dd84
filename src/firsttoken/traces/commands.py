"""The ``firsttoken trace`` command: receive, normalise, join and export spans."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import yaml
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from firsttoken.errors import CheckFailedError, NotJudgedError, UsageError
from firsttoken.loadgen.records import read as read_records
from firsttoken.otlp.decode import spans as decoded
from firsttoken.otlp.jsonfile import Writer, read, to_json
from firsttoken.otlp.receiver import GRPC_PORT, HTTP_PORT, Receiver
from firsttoken.otlp.signals import signal_of
from firsttoken.otlp.values import Span
from firsttoken.traces.clientspans import Keep, client_spans, kept
from firsttoken.traces.export import PROTOCOLS, Protocol, export
from firsttoken.traces.join import By, join
from firsttoken.traces.normalise import normalise as mend
from firsttoken.traces.normalise import sink
from firsttoken.traces.otelcol import collector_config, jaeger_config
from firsttoken.traces.server import served
from firsttoken.traces.show import joined_json, joined_lines, start_json, start_lines
from firsttoken.traces.startup import cold_starts

__all__ = ["trace"]

_FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_data", is_flag=True, help="Print JSON.")
_MODEL = click.option("--model", help="Set gen_ai.request.model where nothing says it.")


@click.group(
    epilog="""\b
Examples:
  firsttoken trace receive --out spans.jsonl
  vllm serve MODEL --otlp-traces-endpoint http://127.0.0.1:4317
  firsttoken load run --target http://127.0.0.1:8000 --tracing --out records.jsonl
  firsttoken trace join records.jsonl spans.jsonl
  firsttoken trace startup spans.jsonl
"""
)
def trace() -> None:
    """Spans of the load generator and of the server: where each request's time went."""


@trace.command(
    epilog="""\b
Examples:
  firsttoken trace receive --out spans.jsonl
  firsttoken trace receive --normalise --model llama --out spans.jsonl --grpc-port 0 --http-port 0
"""
)
@click.option("--out", type=click.Path(path_type=Path), help="Append OTLP/JSON there, else stdout.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--grpc-port", default=GRPC_PORT, show_default=True, help="0 for any free port.")
@click.option("--http-port", default=HTTP_PORT, show_default=True, help="0 for any free port.")
@click.option("--normalise", is_flag=True, help="Say vLLM's spans in today's conventions.")
@_MODEL
def receive(
    out: Path | None, host: str, grpc_port: int, http_port: int, normalise: bool, model: str | None
) -> None:
    """Receive traces, metrics and logs over OTLP (gRPC and HTTP) until told to end."""
    with contextlib.ExitStack() as stack:
        keep: Callable[[Message], None] = _print
        if out is not None:
            keep = stack.enter_context(Writer(out)).add
        counts: dict[str, int] = {}
        inner = sink(keep, model) if normalise else keep

        def take(message: Message) -> None:
            name = signal_of(message).name
            counts[name] = counts.get(name, 0) + 1
            inner(message)

        receiver = Receiver(take, host=host, grpc_port=grpc_port, http_port=http_port)
        asyncio.run(_serve(receiver))
        told = ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
        click.echo(f"firsttoken: received {told or 'nothing'}", err=True)


def _print(message: Message) -> None:
    click.echo(to_json(message))


async def _serve(receiver: Receiver) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with receiver:
        # stdout may be what was received.
        click.echo(f"listening {receiver.grpc_endpoint} (OTLP/gRPC)", err=True)
        click.echo(f"listening {receiver.http_endpoint} (OTLP/HTTP)", err=True)
        await stopped.wait()


@trace.command(
    "join",
    epilog="""\b
Examples:
  firsttoken trace join records.jsonl spans.jsonl
  firsttoken trace join records.jsonl spans.jsonl --by ttft --slowest 5 --json
""",
)
@click.argument("records", type=click.Path(path_type=Path))
@_FILES
@click.option("--slowest", default=10, show_default=True, type=click.IntRange(0), help="So many.")
@click.option("--by", type=click.Choice(["e2e", "ttft"]), default="e2e", show_default=True)
@click.option("--all", "everything", is_flag=True, help="Warm-up and drain too.")
@_JSON
def join_command(
    records: Path, files: tuple[Path, ...], slowest: int, by: By, everything: bool, as_data: bool
) -> None:
    """Join a load run's RECORDS with the server's spans in FILES (OTLP/JSON).

    Exit code 3 when no request has spans on both sides.
    """
    run = read_records(records)
    asked = run.records if everything else run.measured
    joined = join(asked, served(_spans(files)))
    if as_data:
        click.echo(json.dumps(joined_json(joined, slowest, by), indent=2))
    else:
        click.echo("\n".join(joined_lines(joined, slowest, by)))
    if not joined.requests:
        raise NotJudgedError(
            f"{records}: no request has a span of the server's; was the load run with --tracing,"
            " and the server with an OTLP endpoint?"
        )


@trace.command(
    epilog="""\b
Examples:
  firsttoken trace startup spans.jsonl
  firsttoken trace startup spans.jsonl --json
"""
)
@_FILES
@_JSON
def startup(files: tuple[Path, ...], as_data: bool) -> None:
    """Where the time of vLLM's cold starts went, from the spans in FILES (OTLP/JSON)."""
    starts = cold_starts(_spans(files))
    if not starts:
        raise NotJudgedError(
            f"{files[0]}: no start-up trace; vLLM sends it when it has an OTLP endpoint"
        )
    if as_data:
        click.echo(json.dumps([start_json(phase) for phase in starts], indent=2))
    else:
        click.echo("\n\n".join("\n".join(start_lines(phase)) for phase in starts))


@trace.command(
    epilog="""\b
Examples:
  firsttoken trace normalise spans.jsonl > today.jsonl
  firsttoken trace normalise --model llama spans.jsonl
"""
)
@_FILES
@_MODEL
def normalise(files: tuple[Path, ...], model: str | None) -> None:
    """Print the requests in FILES (OTLP/JSON) with vLLM's spans in today's conventions."""
    for message in _messages(files):
        if isinstance(message, ExportTraceServiceRequest):
            mend(message, model)
        _print(message)


@trace.command(
    "export",
    epilog="""\b
Examples:
  firsttoken trace export records.jsonl --endpoint http://127.0.0.1:4317
  firsttoken trace export records.jsonl --endpoint https://otlp.example.com \\
      --protocol http/protobuf --ratio 0.05 --slowest 20
\b
The spans of failed requests are always sent.  Headers, such as a key, are taken from
OTEL_EXPORTER_OTLP_HEADERS, and certificates from OTEL_EXPORTER_OTLP_CERTIFICATE.
""",
)
@click.argument("records", type=click.Path(path_type=Path))
@click.option("--endpoint", required=True, help="Such as http://127.0.0.1:4317.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="grpc", show_default=True)
@click.option("--ratio", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Share.")
@click.option("--slowest", type=click.IntRange(0), default=10, show_default=True, help="So many.")
def export_command(
    records: Path, endpoint: str, protocol: Protocol, ratio: float, slowest: int
) -> None:
    """Send the requests of a load run's RECORDS as client spans.

    Kept are a share of all, the slowest, and every one that failed.  Exit code 1 when some did not
    arrive, 3 when none did.
    """
    run = read_records(records)
    began = time.perf_counter()
    chosen = kept(run.records, Keep(ratio, slowest))
    if not chosen:
        raise UsageError(f"{records}: no request to send; records before v2 have no trace ids")
    made = client_spans(run, chosen)
    arrived = export(made, endpoint, protocol)
    seconds = time.perf_counter() - began
    click.echo(
        f"{arrived} of {len(made)} spans of {len(chosen)} of {len(run.records)} requests sent in"
        f" {seconds:.2f} s"
    )
    if arrived < len(made):
        raise CheckFailedError(f"{endpoint}: {len(made) - arrived} spans were refused")


@trace.group(
    epilog="""\b
Examples:
  firsttoken trace config collector --backend jaeger:4317 > otelcol.yaml
  firsttoken trace config jaeger > jaeger.yaml
"""
)
def config() -> None:
    """Configuration of what receives the spans, generated."""


@config.command(
    "collector",
    epilog="""\b
Examples:
  firsttoken trace config collector --backend jaeger:4317
  firsttoken trace config collector --backend tempo:4317 --slow 2 --ratio 0.01
""",
)
@click.option("--backend", default="jaeger:4317", show_default=True, help="OTLP/gRPC address.")
@click.option("--slow", default=5.0, show_default=True, help="Keep a TTFT above this, in seconds.")
@click.option("--ratio", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share.")
def collector_command(backend: str, slow: float, ratio: float) -> None:
    """An OpenTelemetry Collector: vLLM's spans in today's conventions, tail sampling."""
    _yaml(collector_config(backend, slow_s=slow, ratio=ratio))


@config.command("jaeger", epilog="\b\nExample:\n  firsttoken trace config jaeger > jaeger.yaml")
def jaeger_command() -> None:
    """Jaeger v2 with traces in memory."""
    _yaml(jaeger_config())


def _yaml(data: object) -> None:
    yaml.safe_dump(data, sys.stdout, sort_keys=False, width=2**20)


def _messages(files: Iterable[Path]) -> list[Message]:
    messages: list[Message] = []
    for path in files:
        found = read(path)
        for problem in found.problems[:5]:
            click.echo(f"firsttoken: {path}: {problem}", err=True)
        if len(found.problems) > 5:
            told = f"{len(found.problems)} of {found.lines} lines are not OTLP"
            click.echo(f"firsttoken: {path}: {told}", err=True)
        messages += found.requests
    return messages


def _spans(files: Iterable[Path]) -> list[Span]:
    return [
        span
        for message in _messages(files)
        if isinstance(message, ExportTraceServiceRequest)
        for span in decoded(message)
    ]
