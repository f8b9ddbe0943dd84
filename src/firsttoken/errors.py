"""The errors that reach a user, each with the exit code that the command ends with.

FirstTokenError
├── UsageError            2  a wrong argument
│   └── ConfigError       2  a file that cannot be used: names file, place and what is allowed
├── CheckFailedError      1  an objective missed, or a check that failed
└── NotJudgedError        3  nothing could be said: the target is unreachable, a tool is missing
"""

from pathlib import Path
from typing import ClassVar

__all__ = ["CheckFailedError", "ConfigError", "FirstTokenError", "NotJudgedError", "UsageError"]


class FirstTokenError(Exception):
    """Base of all errors whose text is meant for the user and is printed as one line."""

    exit_code: ClassVar[int] = 1


class UsageError(FirstTokenError):
    """Raised when an argument is wrong or arguments do not go together."""

    exit_code: ClassVar[int] = 2


class ConfigError(UsageError):
    """Raised when a file cannot be used; ``problems`` holds one sentence for each mistake found."""

    def __init__(self, path: Path | str, problems: list[str]) -> None:
        self.path = path
        self.problems = problems
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))


class CheckFailedError(FirstTokenError):
    """Raised when an objective was missed or a check failed."""

    exit_code: ClassVar[int] = 1


class NotJudgedError(FirstTokenError):
    """Raised when nothing can be judged: an unreachable target, a tool that is not installed."""

    exit_code: ClassVar[int] = 3
