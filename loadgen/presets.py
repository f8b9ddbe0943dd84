"""Load files to begin with, for common kinds of work; each figure says where it comes from.

Where a trace is public its own quantiles are used, counted over all of its requests; a thousandth,
or what no context of 8,192 tokens holds, is cut off at the upper end.
"""

from dataclasses import dataclass
from typing import Any

import yaml

__all__ = ["PRESETS", "settings", "text"]

_AZURE = "AzurePublicDataset, LLM inference 2023 (Splitwise, ISCA 2024)"
_RAGPULSE = "RAGPulse (arXiv 2511.12979), 7,106 requests of a university's question service"
_MOONCAKE = "Mooncake's tool and agent trace (FAST 2025), 23,608 requests"
_COPILOT = "GitHub Copilot coding agent traces 2026 (AzurePublicDataset)"
_CNN = "CNN/Daily Mail, which MLPerf's Llama 3.1 8B benchmark summarises"
_OPENORCA = "OpenOrca, which MLPerf's Llama 2 70B benchmark answers"


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the file, and where its figures come from."""

    setting: str
    source: str


@dataclass(frozen=True, slots=True)
class _Preset:
    purpose: str
    lines: tuple[_Line, ...]


PRESETS: dict[str, _Preset] = {
    "chat": _Preset(
        "People who talk to an assistant; a prompt holds the conversation so far.",
        (
            _Line(
                "arrivals: {kind: poisson, rate: 1}",
                f"gaps' coefficient of variation 1.09, as good as Poisson's 1: {_AZURE}",
            ),
            _Line(
                "prompt_tokens:\n  kind: quantiles\n  at: {0: 2, 0.05: 181, 0.25: 396, 0.5: 1020,"
                " 0.75: 1189, 0.9: 2734, 0.95: 4083, 0.99: 4142, 1: 6122}",
                f"quantiles of 19,366 conversation requests: {_AZURE}",
            ),
            _Line(
                "output_tokens:\n  kind: quantiles\n  at: {0: 7, 0.05: 41, 0.25: 85, 0.5: 129,"
                " 0.75: 395, 0.9: 424, 0.95: 451, 0.99: 601, 1: 954}",
                "of the same requests",
            ),
        ),
    ),
    "rag": _Preset(
        "Questions about documents: what was found goes before the question.",
        (
            _Line(
                "arrivals: {kind: poisson, rate: 1}",
                "independent users; RAGPulse's gaps are dominated by its nights",
            ),
            _Line(
                "output_tokens:\n  kind: quantiles\n  at: {0: 7, 0.05: 66, 0.25: 131, 0.5: 234,"
                " 0.75: 385, 0.9: 563, 0.95: 670, 0.99: 891, 1: 1178}",
                f"quantiles: {_RAGPULSE}",
            ),
            _Line(
                "workload:\n  kind: synthetic\n  name: rag\n  prompt_tokens:\n    kind: quantiles\n"
                "    at: {0: 1052, 0.05: 1055, 0.25: 2754, 0.5: 3139, 0.75: 3436, 0.9: 3958,"
                " 0.95: 4425, 0.99: 5425, 1: 6423}",
                "of the same requests, instructions and passages included",
            ),
            _Line(
                "  prefix: {tokens: 512, groups: 3, skew: 2}",
                "its three instructions of 512 tokens begin 77, 20 and 4 % of the prompts; 1/n²"
                " gives 73, 18 and 8 %",
            ),
        ),
    ),
    "code-completion": _Preset(
        "An editor that asks while someone types: long prompts, a few tokens back.",
        (
            _Line(
                "arrivals: {kind: gamma, rate: 1, burstiness: 0.11}",
                "bursty: gaps' coefficient of variation 3, of those below 10 s, which 1/3² gives:"
                f" {_AZURE}",
            ),
            _Line(
                "prompt_tokens:\n  kind: quantiles\n  at: {0: 3, 0.05: 75, 0.25: 578, 0.5: 1469,"
                " 0.75: 2744, 0.9: 5186, 0.95: 7302, 0.99: 7436, 1: 7437}",
                f"quantiles of 8,819 coding requests: {_AZURE}",
            ),
            _Line(
                "output_tokens:\n  kind: quantiles\n  at: {0: 6, 0.25: 9, 0.5: 13, 0.75: 24,"
                " 0.9: 55, 0.95: 90, 0.98: 169, 0.99: 249, 0.995: 343, 1: 740}",
                "of the same requests",
            ),
        ),
    ),
    "summarisation": _Preset(
        "One document in, a short text out; nothing in common.",
        (
            _Line("arrivals: {kind: poisson, rate: 1}", "independent users"),
            _Line(
                "prompt_tokens: {kind: lognormal, median: 900, sigma: 0.5, low: 100, high: 2500}",
                f"781 words on average, about 1,020 tokens: {_CNN}; the shape is ours",
            ),
            _Line(
                "output_tokens: {kind: lognormal, median: 68, sigma: 0.35, low: 16, high: 128}",
                "56 words on average, about 73 tokens, and MLPerf's limit of 128; the shape is"
                " ours",
            ),
        ),
    ),
    "agentic": _Preset(
        "Agents that call tools: each call asks with all that came before it.",
        (
            _Line(
                "arrivals: {kind: poisson, rate: 0.2}",
                "sessions per second, of independent users",
            ),
            _Line(
                "output_tokens: {kind: lognormal, median: 120, sigma: 0.9, low: 1, high: 2000}",
                f"182 tokens on average: {_MOONCAKE}; the shape is ours",
            ),
            _Line(
                "workload:\n  kind: synthetic\n  name: agentic\n"
                "  prefix: {tokens: 6144, groups: 8, skew: 1}",
                "12 blocks of 512 tokens, instructions and tools, are shared by many of its"
                " prompts; how many groups is ours",
            ),
            _Line(
                "  prompt_tokens: {kind: lognormal, median: 6500, sigma: 0.1, low: 6200,"
                " high: 12000}",
                "with the turns below, about 8,600 tokens a call as in that trace",
            ),
            _Line(
                "  conversation:\n    turns: {kind: lognormal, median: 6, sigma: 0.7, low: 1,"
                " high: 40}\n    message_tokens: {kind: lognormal, median: 200, sigma: 1, low: 8,"
                " high: 4000}",
                f"7.8 model calls per turn of a user: {_COPILOT}; what tools return is ours",
            ),
            _Line(
                "    think: {kind: lognormal, median: 1s, sigma: 1, high: 60s}\n    longest: 16384",
                "how long tools take, and the model's context, are yours to set",
            ),
        ),
    ),
    "batch": _Preset(
        "Offline work: as much at once as the engine takes, nobody waits.",
        (
            _Line(
                "arrivals: {kind: closed, concurrency: 256}",
                "MLPerf's offline scenario has all of them there at once; how many is ours",
            ),
            _Line(
                "prompt_tokens: {kind: lognormal, median: 240, sigma: 0.8, low: 16, high: 1024}",
                f"up to 1,024 tokens: {_OPENORCA}; the shape is ours",
            ),
            _Line(
                "output_tokens: {kind: lognormal, median: 230, sigma: 0.7, low: 1, high: 1024}",
                "about 290 tokens a sample, at most 1,024; the shape is ours",
            ),
        ),
    ),
}
"""Name -> what it is, and its settings."""


def text(preset: str) -> str:
    """The load file of a preset, which must be one of ``PRESETS``."""
    found = [
        f"# {preset}: {PRESETS[preset].purpose}",
        "# A start from published figures; set rate and durations to what your users do.",
        "version: firsttoken/v1",
    ]
    for line in PRESETS[preset].lines:
        indent = " " * (len(line.setting) - len(line.setting.lstrip()))
        found += [f"{indent}# {line.source}", line.setting]
    found += ["warmup: 15s", "duration: 2m", "seed: 0"]
    return "\n".join(found) + "\n"


def settings(preset: str) -> dict[str, Any]:
    """The settings of a preset, as a load file's."""
    data: dict[str, Any] = yaml.safe_load(text(preset))
    return data
