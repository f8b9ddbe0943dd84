"""Which flags of ``vllm serve`` a deployment file may give, for the version that it names.

Sources: vLLM's own flag reference of 0.12, 0.18, 0.30 and 0.32, and the engine itself at 0.32.
"""

import re

__all__ = [
    "CUSTOM_BUCKETS",
    "JSON_LOGS",
    "OLDEST",
    "Release",
    "check_arguments",
    "flag_problem",
    "format_release",
    "parse_release",
]

Release = tuple[int, int]
"""Major and minor version."""

JSON_LOGS: Release = (0, 31)
"""The first release that writes JSON logs by a flag."""

OLDEST: Release = (0, 18)
"""The first release that is known to have ``--shutdown-timeout``."""
CUSTOM_BUCKETS: Release = (0, 31)
"""The first release whose histograms take bounds from ``--custom-histogram-buckets``."""

_SET_HERE = {
    "--model": "model",
    "--port": "engine.port",
    "--served-model-name": "served_model_name",
    "--shutdown-timeout": "engine.shutdown_timeout",
    "--tensor-parallel-size": "accelerator.count",
    "-tp": "accelerator.count",
    "--custom-histogram-buckets": "the objectives",
    "--enable-request-id-headers": "every deployment",
    "--disable-access-log-for-endpoints": "every deployment",
    "--logging-config.formatter": "engine.log_format",
    "--otlp-traces-endpoint": "tracing.endpoint",
}
_REFUSED = {
    "--api-key": "a secret must not stand in arguments",
    "--disable-log-stats": "it switches off the metrics that everything here is about",
    "--host": "the probes, the Service and the collector need all addresses",
    "--ssl-certfile": "TLS ends in front of the engine; the probes here speak HTTP",
    "--ssl-keyfile": "TLS ends in front of the engine; the probes here speak HTTP",
    "--uds": "the probes, the Service and the collector need a port",
}
_REMOVED: dict[str, tuple[Release, str]] = {
    "--disable-log-requests": ((0, 12), "requests are not logged unless asked for"),
    "--log-config-file": ((0, 33), "use --logging-config.pylogging_config_file"),
}
_ADDED: dict[str, Release] = {
    "--custom-histogram-buckets": CUSTOM_BUCKETS,
    "--shutdown-timeout": OLDEST,
    "--disable-access-log-for-endpoints": (0, 16),
    "--logging-config.formatter": JSON_LOGS,
}


def parse_release(text: str) -> Release | None:
    """Major and minor version of ``v0.32.0``, ``0.32`` or a tag that begins so, else None."""
    found = re.match(r"v?([0-9]{1,4})[.]([0-9]{1,4})(?![0-9])", text)
    return (int(found[1]), int(found[2])) if found else None


def format_release(release: Release) -> str:
    """``0.32`` for (0, 32)."""
    return ".".join(map(str, release))


def check_arguments(arguments: tuple[str, ...], release: Release, known: frozenset[str]) -> None:
    """Refuse what would stop the engine or undo the deployment; raises ValueError.

    ``known`` are the environment variables that ``$(NAME)`` may stand for.
    """
    for argument in arguments:
        flag = argument.partition("=")[0]
        # argparse takes an underscore for a dash, and so does vLLM.
        flag = flag.replace("_", "-") if flag.startswith("--") else flag
        _check_flag(flag, release)
        for name in re.findall(r"(?<!\$)\$\(([^)]*)\)", argument):
            if name not in known:
                raise ValueError(
                    f"$({name}) in {argument} is no variable of the container; it has"
                    f" {', '.join(sorted(known))}"
                )


def _check_flag(flag: str, release: Release) -> None:
    if flag in _SET_HERE:
        raise ValueError(f"{flag} is set by {_SET_HERE[flag]}")
    if flag in _REFUSED:
        raise ValueError(f"{flag} cannot be used: {_REFUSED[flag]}")
    problem = flag_problem(flag, release)
    if problem:
        raise ValueError(problem)


def flag_problem(argument: str, release: Release) -> str:
    """Why a release does not know a flag, empty where nothing is known against it."""
    flag = argument.partition("=")[0].replace("_", "-")
    has = f"vLLM {format_release(release)} has no {flag}"
    if flag in _REMOVED and release >= _REMOVED[flag][0]:
        gone, instead = _REMOVED[flag]
        return f"{has} (gone in {format_release(gone)}); {instead}"
    if flag in _ADDED and release < _ADDED[flag]:
        return f"{has}; it came with {format_release(_ADDED[flag])}"
    return ""
