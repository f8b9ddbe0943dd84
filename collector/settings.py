"""The collector's configuration: which sources, how long to wait for them, where to serve."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from firsttoken.collector.targets import Expanded, SourceSettings, Timeout, as_text
from firsttoken.config import Duration, Model, load_yaml

__all__ = [
    "DEFAULT_LISTEN",
    "Auth",
    "Names",
    "OtlpSettings",
    "ServerTls",
    "Settings",
    "SourceSettings",
    "TokenReview",
    "load_settings",
    "split_listen",
]

Names = Literal["rename", "passthrough", "both"]
"""Under which names families are served that the catalogue knows."""

DEFAULT_LISTEN = "127.0.0.1:9464"


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9464``, ``[::1]:9464`` or ``:9464``; raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("expected HOST:PORT, with port 0 for any free one")
    # An empty host says every address, as it does for Prometheus and its exporters.
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104


def _linger(seconds: float) -> float:
    if not 0 <= seconds <= 600:
        raise ValueError("expected a duration of at most 10 minutes")
    return seconds


class ServerTls(Model):
    """The certificate that is served; its files are read anew when they change."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    """Clients must show a certificate of one of these authorities."""


class TokenReview(Model):
    """Tokens are shown to the Kubernetes API server, which says whose they are."""

    users: tuple[str, ...] = Field(min_length=1)
    """Who may read, such as ``system:serviceaccount:monitoring:prometheus-k8s``."""
    audiences: tuple[str, ...] = ()
    server: str = "https://kubernetes.default.svc"
    ca_file: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
    token_file: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Auth(Model):
    """What a client must show for pages and states; probes are answered without."""

    bearer_token_file: Path | None = None
    token_review: TokenReview | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bearer_token_file is None) == (self.token_review is None):
            raise ValueError("expected bearer_token_file or token_review")
        return self


class OtlpSettings(Model):
    """Where merged metrics are pushed to, beside being served."""

    endpoint: Expanded
    protocol: Literal["grpc", "http/protobuf"] = "http/protobuf"
    interval: Timeout = 15.0
    temporality: Literal["cumulative", "delta"] = "cumulative"
    timeout: Timeout = 10.0
    queue: int = Field(default=240, ge=1, le=100_000)
    """Scrapes that wait for a receiver that is away: an hour of them at 15 s."""
    headers: dict[str, Expanded] = Field(default_factory=dict, repr=False)

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("expected http://HOST:PORT or https://HOST:PORT")
        return url


class Settings(Model):
    """The whole configuration."""

    version: Literal["firsttoken/v1"] = "firsttoken/v1"
    listen: str = DEFAULT_LISTEN
    tls: ServerTls | None = None
    auth: Auth | None = None
    timeout: Timeout = 10.0
    linger: Annotated[Duration, AfterValidator(_linger)] = 0.0
    """How long, after SIGTERM, a last scrape is waited for."""
    max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """The largest page that is read from a source, unpacked."""
    max_samples: int = Field(default=200_000, ge=1)
    """Of one source."""
    max_label_length: int = Field(default=4096, ge=1)
    """Characters of a label's value."""
    max_connections: int = Field(default=64, ge=1)
    """Of clients, at one time."""
    names: Names = "rename"
    unknown: Literal["pass", "drop"] = "pass"
    """What becomes of families that no catalogue entry means the same as."""
    resource: dict[str, str] = Field(default_factory=dict)
    """Resource attributes of every source, onto its ``target_info``."""
    sources: tuple[SourceSettings, ...]
    otlp: OtlpSettings | None = None

    _text = field_validator("resource", mode="before")(as_text)

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

    @model_validator(mode="after")
    def _not_itself(self) -> Self:
        host, port = split_listen(self.listen)
        local = {"127.0.0.1", "::1", "localhost", host}
        for source in self.sources:
            parts = urlsplit(source.url)
            if port and parts.port == port and parts.hostname in local:
                raise ValueError(f"source {source.name} is the collector itself ({self.listen})")
        return self


def load_settings(path: Path) -> Settings:
    """The configuration of a file; raises ConfigError."""
    return load_yaml(path, Settings)
