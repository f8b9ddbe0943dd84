"""The collector's configuration: which sources, how long to wait for them, where to serve."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from firsttoken.attributes import GEN_AI
from firsttoken.config import Duration, Model, load_yaml
from firsttoken.errors import UsageError

__all__ = ["DEFAULT_LISTEN", "Names", "Settings", "SourceSettings", "load_settings", "split_listen"]

Names = Literal["convention", "source", "both"]
"""Under which names families are served that the catalogue knows."""

DEFAULT_LISTEN = "127.0.0.1:9464"
_ATTRIBUTES = tuple(attribute.name for attribute in GEN_AI)


def _positive(seconds: float) -> float:
    if not 0 < seconds <= 3600:
        raise ValueError("expected a duration above 0 and of at most an hour")
    return seconds


Timeout = Annotated[Duration, AfterValidator(_positive)]


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9464``, ``[::1]:9464`` or ``:9464``; raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("expected HOST:PORT, with port 0 for any free one")
    # An empty host says every address, as it does for Prometheus and its exporters.
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104


class SourceSettings(Model):
    """One source: where its page is, how to ask for it, and what is known of its target."""

    name: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=63)
    url: str
    profile: str | None = None
    timeout: Timeout | None = None
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    bearer_token_file: Path | None = None
    bearer_token_env: str | None = None
    attributes: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected http://HOST:PORT/PATH or https://")
        return url if parts.path else f"{url}/metrics"

    @field_validator("attributes")
    @classmethod
    def _are_known(cls, attributes: dict[str, str]) -> dict[str, str]:
        for name in attributes:
            if name not in _ATTRIBUTES:
                raise ValueError(f"{name} is no attribute (allowed: {', '.join(_ATTRIBUTES)})")
        return attributes

    @field_validator("labels")
    @classmethod
    def _are_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or name.startswith("__"):
                raise ValueError(f"{name} is no name for a label")
            if name in ("le", "quantile"):
                raise ValueError(f"{name} is what tells the lines of a metric apart")
        return {name: value for name, value in labels.items() if value}

    @field_validator("attributes", "headers", "labels", mode="before")
    @classmethod
    def _as_text(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        return {k: str(v) if isinstance(v, int | float) else v for k, v in values.items()}

    @model_validator(mode="after")
    def _no_secret_in_url(self) -> Self:
        # Said of the whole source, since what is said of a key repeats its value.
        parts = urlsplit(self.url)
        if parts.username is not None or parts.password is not None:
            raise ValueError("give a user or password in headers, not in the URL")
        return self

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.bearer_token_file is not None and self.bearer_token_env is not None:
            raise ValueError("give bearer_token_file or bearer_token_env, not both")
        return self

    def request_headers(self) -> dict[str, str]:
        """The configured headers with the token, read anew since a mounted one is replaced.

        Raises UsageError when the token cannot be read.
        """
        token = None
        if self.bearer_token_file is not None:
            try:
                token = self.bearer_token_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                raise UsageError(f"{self.bearer_token_file}: the token cannot be read") from None
        elif self.bearer_token_env is not None:
            token = os.environ.get(self.bearer_token_env)
            if not token:
                raise UsageError(f"the environment has no {self.bearer_token_env}")
        return self.headers | ({"Authorization": f"Bearer {token}"} if token else {})


class Settings(Model):
    """The whole configuration."""

    version: Literal["firsttoken/v1"] = "firsttoken/v1"
    listen: str = DEFAULT_LISTEN
    timeout: Timeout = 10.0
    max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """The largest page that is read from a source, unpacked."""
    names: Names = "convention"
    unknown: Literal["pass", "drop"] = "pass"
    """What becomes of families that no catalogue entry means the same as."""
    sources: tuple[SourceSettings, ...]

    @field_validator("listen")
    @classmethod
    def _is_address(cls, listen: str) -> str:
        split_listen(listen)
        return listen

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
        if not sources:
            raise ValueError("expected at least one source")
        names = [source.name for source in sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are called {name}")
        return sources


def load_settings(path: Path) -> Settings:
    """The configuration of a file; raises ConfigError."""
    return load_yaml(path, Settings)
