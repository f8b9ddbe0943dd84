"""One source's configuration: where its page is, how to ask for it, and what of it is served."""

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from firsttoken.attributes import GEN_AI
from firsttoken.config import Duration, Model
from firsttoken.errors import UsageError

__all__ = ["BasicAuth", "Expanded", "Only", "SourceSettings", "Timeout", "UpstreamTls", "as_text"]

_ATTRIBUTES = tuple(attribute.name for attribute in GEN_AI)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _positive(seconds: float) -> float:
    if not 0 < seconds <= 3600:
        raise ValueError("expected a duration above 0 and of at most an hour")
    return seconds


Timeout = Annotated[Duration, AfterValidator(_positive)]


def _expanded(text: str) -> str:
    """The text with each ``${VARIABLE}`` from the environment; raises ValueError."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise ValueError(f"the environment has no {match[1]}")
        return found

    return _VARIABLE.sub(value, text)


Expanded = Annotated[str, AfterValidator(_expanded)]
"""Text in which ``${VARIABLE}`` stands for what the environment has."""


def as_text(values: object) -> object:
    """Numbers and truth values of a mapping as the text that they are in YAML."""
    if not isinstance(values, dict):
        return values
    plain = {k: str(v).lower() if isinstance(v, bool) else v for k, v in values.items()}
    return {k: str(v) if isinstance(v, int | float) else v for k, v in plain.items()}


class UpstreamTls(Model):
    """How a source that is asked over ``https`` is known, and what it is shown."""

    ca_file: Path | None = None
    """Certificates to trust in the place of the system's."""
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        return self


class BasicAuth(Model):
    """A user and a password, which stands in a file or the environment."""

    username: str
    password_file: Path | None = None
    password_env: str | None = None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if (self.password_file is None) == (self.password_env is None):
            raise ValueError("expected password_file or password_env")
        return self


class Only(Model):
    """Which of a page's series are served: those to which everything that is given applies."""

    pod: Expanded | None = None
    """``this`` (POD_NAME and POD_NAMESPACE of the environment) or NAMESPACE/NAME."""
    gpus: Literal["visible"] | tuple[str, ...] | None = None
    """``visible`` (NVIDIA_VISIBLE_DEVICES or ROCR_VISIBLE_DEVICES), or UUIDs and indices."""
    labels: dict[str, Expanded] = Field(default_factory=dict)
    """Label -> a regular expression for its whole value; a missing label has an empty value."""

    @field_validator("labels")
    @classmethod
    def _compile(cls, labels: dict[str, str]) -> dict[str, str]:
        for label, pattern in labels.items():
            try:
                re.compile(pattern)
            except re.error as exc:
                raise ValueError(f"{label}: {pattern} is no regular expression: {exc}") from None
        return labels

    @field_validator("gpus", mode="before")
    @classmethod
    def _indices(cls, gpus: object) -> object:
        return [str(gpu) for gpu in gpus] if isinstance(gpus, list | tuple) else gpus

    @field_validator("pod")
    @classmethod
    def _is_pod(cls, pod: str | None) -> str | None:
        if pod is not None and pod != "this" and pod.count("/") != 1:
            raise ValueError("expected `this` or NAMESPACE/NAME")
        return pod


class SourceSettings(Model):
    """One source: where its page is, how to ask for it, and what is known of its target."""

    name: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=63)
    url: Expanded
    """``http://HOST:PORT/PATH``; or, on this machine, ``port`` and ``path`` in its place."""
    profile: str | None = None
    timeout: Timeout | None = None
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    bearer_token_file: Path | None = None
    bearer_token_env: str | None = None
    basic_auth: BasicAuth | None = None
    tls: UpstreamTls | None = None
    only: Only = Only()
    attributes: dict[str, Expanded] = Field(default_factory=dict)
    labels: dict[str, Expanded] = Field(default_factory=dict)
    resource: dict[str, Expanded] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_port(cls, told: Any) -> Any:
        """``port`` and ``path`` as a URL."""
        if not isinstance(told, Mapping) or "url" in told or "port" not in told:
            return told
        port, path = told["port"], told.get("path", "/metrics")
        if not str(port).isascii() or not str(port).isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"port: expected a number from 1 to 65535, not {port!r}")
        rest = {key: value for key, value in told.items() if key not in ("port", "path")}
        return rest | {"url": f"http://127.0.0.1:{port}/{str(path).lstrip('/')}"}

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected http://HOST:PORT/PATH or https://, or port and path")
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

    _text = field_validator("attributes", "headers", "labels", "resource", mode="before")(as_text)

    @model_validator(mode="after")
    def _no_secret_in_url(self) -> Self:
        # Said of the whole source, since what is said of a key repeats its value.
        parts = urlsplit(self.url)
        if parts.username is not None or parts.password is not None:
            raise ValueError("give a user or password in basic_auth, not in the URL")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [
            name
            for name in ("bearer_token_file", "bearer_token_env", "basic_auth")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ValueError(f"give {' or '.join(given)}, not both")
        if self.tls is not None and not self.url.startswith("https://"):
            raise ValueError("tls needs a URL that begins with https://")
        return self

    def request_headers(self) -> dict[str, str]:
        """The configured headers with the secret, read anew since a mounted one is replaced.

        Raises UsageError when the secret cannot be read.
        """
        if self.basic_auth is not None:
            basic = self.basic_auth
            password = _secret(basic.password_file, basic.password_env) or ""
            pair = base64.b64encode(f"{basic.username}:{password}".encode()).decode()
            return self.headers | {"Authorization": f"Basic {pair}"}
        token = _secret(self.bearer_token_file, self.bearer_token_env)
        return self.headers | ({"Authorization": f"Bearer {token}"} if token else {})


def _secret(file: Path | None, variable: str | None) -> str | None:
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise UsageError(f"{file}: the secret cannot be read") from None
    if variable is None:
        return None
    found = os.environ.get(variable)
    if not found:
        raise UsageError(f"the environment has no {variable}")
    return found
