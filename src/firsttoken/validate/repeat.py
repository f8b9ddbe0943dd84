"""Everything that is needed to do a validation again: the command line, the files, the machine."""

import os
import platform
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from firsttoken.config import format_duration, public_address
from firsttoken.report.schema import Environment
from firsttoken.validate.found import Options

__all__ = ["command", "environment", "promises"]


def command(options: Options) -> str:
    """The command line, with the secrets of its addresses left out."""
    words = ["firsttoken", "validate"]
    words += (
        ["--simulate"] if options.target is None else ["--target", public_address(options.target)]
    )
    for fault in options.faults:
        words += ["--fault", fault]
    for flag, value in (
        ("--slo", options.slo_file),
        ("--load", options.load_file),
        ("--rate", None if options.rate is None else f"{options.rate:g}"),
        ("--concurrency", options.concurrency),
        ("--duration", None if options.duration is None else format_duration(options.duration)),
        ("--model", options.model),
        ("--otlp-listen", options.otlp_listen),
        ("--trace-url", options.trace_url),
        ("--grafana", options.grafana),
        ("--prometheus", public_address(options.prometheus) if options.prometheus else None),
    ):
        if value is not None:
            words += [flag, str(value)]
    for exporter in options.exporters:
        profile = f",profile={exporter.profile}" if exporter.profile else ""
        words += ["--gpu-exporter", public_address(exporter.url) + profile]
    if options.scrape_interval != 1:
        words += ["--scrape-interval", format_duration(options.scrape_interval)]
    return shlex.join(words)


def promises(options: Options) -> dict[str, Any]:
    """The objective file as it was written; as it was read where there is no file."""
    if options.slo_file is not None:
        try:
            found = yaml.safe_load(options.slo_file.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):  # removed or changed since it was read
            found = None
        if isinstance(found, dict):
            return found
    return options.slo.model_dump(mode="json", exclude_defaults=True)


def environment(programs: Mapping[str, str]) -> Environment:
    """This machine, and the versions of what ran on it."""
    return Environment(
        machine=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cpus=os.cpu_count() or 1,
        python=platform.python_version(),
        programs=dict(programs),
    )
