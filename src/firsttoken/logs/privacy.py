"""Whether a server would write what its users say into its log."""

import shlex
from collections.abc import Mapping, Sequence

__all__ = ["check"]

_RESPONSES = "VLLM_DEBUG_LOG_API_SERVER_RESPONSE"
_ON = frozenset({"", "true", "1", "yes"})


def check(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """What vLLM's arguments and environment would log of prompts and answers, one sentence each.

    Of today's vLLM, which logs nothing of requests unless told to, and prompts at DEBUG alone; what
    an older one logged, its log tells.
    """
    words = [word for argument in arguments for word in _split(argument)]
    level = (_value(words, "--log-level") or environment.get("VLLM_LOGGING_LEVEL", "INFO")).upper()
    requests, answers = _flag(words, "--enable-log-requests"), _flag(words, "--enable-log-outputs")
    found = []
    if requests and level == "DEBUG":
        found.append("--enable-log-requests at level DEBUG writes every prompt into the log")
    if answers:
        found.append("--enable-log-outputs writes every answer into the log")
    if (requests or answers) and _value(words, "--max-log-len") is None:
        found.append("--max-log-len is not set, so that what is logged of a request has no limit")
    if environment.get(_RESPONSES, "").lower() == "true":
        found.append(f"{_RESPONSES} writes every answer into the log")
    return tuple(found)


def _split(argument: str) -> list[str]:
    try:
        return shlex.split(argument)
    except ValueError:  # an unbalanced quote
        return argument.split()


def _flag(words: Sequence[str], name: str) -> bool:
    for word in words:
        flag, equals, value = word.replace("_", "-").partition("=")
        if flag == name:
            return not equals or value.lower() in _ON
    return False


def _value(words: Sequence[str], name: str) -> str | None:
    for place, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag.replace("_", "-") == name:
            return value if equals else next(iter(words[place + 1 : place + 2]), None)
    return None
