"""The engine's spans during a validation: received, kept in a file, joined with the requests."""

import time
from collections.abc import Mapping

from firsttoken.errors import UsageError
from firsttoken.report.schema import Check, SlowRequest
from firsttoken.traces.join import ORDER, Joined, Parts, join
from firsttoken.traces.server import served
from firsttoken.validate.checks import skipped
from firsttoken.validate.steps import Session, SkippedError

__all__ = ["SPANS", "STAGES", "address", "check", "join_spans", "mean_stages", "receive", "staged"]

SPANS = "spans.jsonl"
WAIT_S = 12.0
"""Engines send their spans in batches, vLLM every 5 s."""
POLL_S = 0.1
STAGES: Mapping[str, str] = {
    "lag": "schedule lag",
    "network": "network",
    "admission": "admission",
    "queue": "queue",
    "prefill": "prefill",
    "decode": "decode",
    "delivery": "delivery",
    "tail": "tail",
}
"""The parts of the join -> their words in the report."""


def address(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:4317`` or ``http://127.0.0.1:4317``; raises UsageError."""
    host, colon, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--otlp-listen {text!r}: expected HOST:PORT, such as 127.0.0.1:4317")
    return host.strip("[]"), int(port)


def receive(session: Session) -> str:
    """Listen for the engine's spans (OTLP/gRPC) until the end of the validation."""
    told = session.options.otlp_listen
    if told is None:
        raise SkippedError("no address to listen on was given")
    # gRPC and an HTTP server take half a second to import, which few validations need.
    from google.protobuf.message import Message

    from firsttoken.otlp.background import BackgroundReceiver
    from firsttoken.otlp.jsonfile import Writer
    from firsttoken.otlp.store import Store

    host, port = address(told)
    store = session.found.spans = Store()
    file = session.exits.enter_context(Writer(session.options.out / SPANS))

    def keep(message: Message) -> None:
        store(message)
        file.add(message)

    receiver = BackgroundReceiver(keep, host=host, grpc_port=port)
    session.exits.enter_context(receiver)
    return f"OTLP/gRPC at {receiver.grpc_endpoint}"


def join_spans(session: Session) -> str:
    """Wait for the spans of the last requests, and join them all."""
    found = session.found
    if found.spans is None or found.run is None:
        raise SkippedError("nothing was received")
    records = found.run.measured
    answered = {record.trace_id for record in records if record.ok}
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if answered <= {span.trace_id for span in found.spans.spans}:
            break
        time.sleep(POLL_S)
    found.joined = join(records, served(found.spans.spans))
    return f"{len(found.joined.requests):,} of {len(records):,} requests"


def check(joined: Joined | None, listening: str | None) -> tuple[Check, ...]:
    """What the join says; none where no spans were asked for."""
    if listening is None:
        return ()
    mean = joined.mean if joined is not None else None
    if joined is None or mean is None:
        why = f"no span of the engine's reached {listening}; is it the engine's OTLP endpoint?"
        return (skipped("traces", why),)
    total = len(joined.requests) + len(joined.client_only)
    said = (
        f"{len(joined.requests):,} of {total:,} requests joined with the engine's spans;"
        f" admission, queue, prefill and decode are {mean.explained:.1%} of its time"
    )
    return (Check(name="traces", status="passed", summary=said),)


def mean_stages(joined: Joined | None) -> dict[str, float]:
    """The mean of each part from the sending on, by its word; empty without a join."""
    mean = joined.mean if joined is not None else None
    return {} if mean is None else _named(mean, ORDER[1:])


def staged(slow: tuple[SlowRequest, ...], joined: Joined | None) -> tuple[SlowRequest, ...]:
    """The slowest requests with their time in each part, where it is known."""
    known = {} if joined is None else {one.index: one.parts for one in joined.requests}
    return tuple(
        one.model_copy(update={"stages": _named(known[one.index], ORDER)})
        if one.index in known
        else one
        for one in slow
    )


def _named(parts: Parts, names: tuple[str, ...]) -> dict[str, float]:
    # What the two clocks count is not cut at the very same moment, so that a part of next to
    # nothing may come out below 0.
    return {STAGES[name]: max(0.0, round(getattr(parts, name), 6)) for name in names}
