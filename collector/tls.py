"""Certificates, of the collector and of its sources; files that change are read anew."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from firsttoken.collector.settings import ServerTls
from firsttoken.collector.targets import UpstreamTls
from firsttoken.errors import UsageError

__all__ = ["Certificate", "UpstreamContext"]


class _Watched:
    """Some files, and whether they have changed since they were last looked at."""

    def __init__(self, files: Sequence[Path | None]) -> None:
        self._files = [file for file in files if file is not None]
        self._seen: object = None

    def changed(self) -> bool:
        """Whether any is another file than before, by its time, size or number."""
        now = [_state(file) for file in self._files]
        before, self._seen = self._seen, now
        return now != before


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


class Certificate:
    """The certificate that is served.  Raises UsageError if it cannot be read at first."""

    def __init__(self, settings: ServerTls) -> None:
        self._settings = settings
        self._watched = _Watched((settings.cert_file, settings.key_file))
        self._watched.changed()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._load()
            if settings.client_ca_file is not None:
                self.context.load_verify_locations(cafile=settings.client_ca_file)
                self.context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as exc:
            raise UsageError(f"tls: {settings.cert_file}: {_said(exc)}") from None

    def _load(self) -> None:
        self.context.load_cert_chain(self._settings.cert_file, self._settings.key_file)

    def refresh(self) -> str | None:
        """Use the files' certificate from now on, if they have changed.

        What is wrong with the new one comes back, and the old one stays in use.
        """
        if not self._watched.changed():
            return None
        try:
            # Tried apart, since a certificate without its key would end what is served now.
            trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trial.load_cert_chain(self._settings.cert_file, self._settings.key_file)
            self._load()
        except (OSError, ssl.SSLError) as exc:
            return f"{self._settings.cert_file}: {_said(exc)}"
        return None


class UpstreamContext:
    """How one source is asked over TLS."""

    def __init__(self, settings: UpstreamTls) -> None:
        self._settings = settings
        self._watched = _Watched((settings.ca_file, settings.cert_file, settings.key_file))
        self._context: ssl.SSLContext | None = None

    def arguments(self) -> dict[str, Any]:
        """Arguments for a request of aiohttp; raises UsageError for files that cannot be read."""
        if self._watched.changed() or self._context is None:
            self._context = self._made()
        arguments: dict[str, Any] = {"ssl": self._context}
        if self._settings.server_name is not None:
            arguments["server_hostname"] = self._settings.server_name
        return arguments

    def _made(self) -> ssl.SSLContext:
        told = self._settings
        try:
            context = ssl.create_default_context(cafile=told.ca_file)
            if told.cert_file is not None:
                context.load_cert_chain(told.cert_file, told.key_file)
        except (OSError, ssl.SSLError) as exc:
            raise UsageError(f"tls: {told.ca_file or told.cert_file}: {_said(exc)}") from None
        if told.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _said(exc: Exception) -> str:
    return str(getattr(exc, "strerror", "") or getattr(exc, "reason", "") or "cannot be read")
