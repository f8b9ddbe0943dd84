"""Who may read: a bearer token, of a file or one that Kubernetes knows."""

import asyncio
import hashlib
import hmac
import logging
import ssl
import time
from pathlib import Path
from typing import Protocol

import aiohttp

from firsttoken.collector.settings import Auth, TokenReview

__all__ = ["Access", "access"]

log = logging.getLogger("firsttoken.collector")

_SECONDS = 5.0
_REMEMBERED = 60.0
"""How long, in seconds, an answer of the API server about a token is believed."""
_MOST = 256


class Access(Protocol):
    """A rule of who may read."""

    async def allows(self, authorization: str | None) -> bool:
        """Whether a request with this ``Authorization`` header may be answered."""
        ...


def access(settings: Auth) -> Access:
    """The rule that the configuration asks for."""
    if settings.bearer_token_file is not None:
        return _FileToken(settings.bearer_token_file)
    assert settings.token_review is not None  # noqa: S101 (the settings say so)
    return _Reviewed(settings.token_review)


def _token(authorization: str | None) -> bytes | None:
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip().encode() if scheme.lower() == "bearer" and token.strip() else None


class _FileToken:
    """One token, read anew for each request since a mounted one is replaced."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def allows(self, authorization: str | None) -> bool:
        """Whether the token is the file's; how long that takes tells nothing of it."""
        given = _token(authorization)
        try:
            expected = self._file.read_bytes().strip()
        except OSError:
            log.warning("auth: %s cannot be read: nobody may read the page", self._file)
            return False
        # An empty file is a mistake, not a page for everybody.
        return bool(expected) and given is not None and hmac.compare_digest(given, expected)


class _Reviewed:
    """Tokens that the Kubernetes API server knows the users of."""

    def __init__(self, settings: TokenReview) -> None:
        self._settings = settings
        self._known: dict[bytes, tuple[float, bool]] = {}

    async def allows(self, authorization: str | None) -> bool:
        """Whether the token is that of a user who is listed; asked once a minute at most."""
        token = _token(authorization)
        if token is None:
            return False
        # What is kept is not the token.
        key = hashlib.sha256(token).digest()
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        try:
            async with asyncio.timeout(_SECONDS):
                found = await self._ask(token.decode())
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError, ValueError) as exc:
            log.warning("auth: the API server cannot be asked: %s", type(exc).__name__)
            return False
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = (time.monotonic() + _REMEMBERED, found)
        return found

    async def _ask(self, token: str) -> bool:
        told = self._settings
        own = told.token_file.read_text(encoding="utf-8").strip()
        spec = {"token": token} | ({"audiences": list(told.audiences)} if told.audiences else {})
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        secure = told.server.startswith("https://")
        context = ssl.create_default_context(cafile=told.ca_file) if secure else True
        async with aiohttp.ClientSession() as session:
            answer = await session.post(
                f"{told.server}/apis/authentication.k8s.io/v1/tokenreviews",
                json=review,
                headers={"Authorization": f"Bearer {own}"},
                ssl=context,
                allow_redirects=False,
            )
            async with answer:
                answer.raise_for_status()
                status = (await answer.json()).get("status", {})
        user = status.get("user", {}).get("username", "")
        return status.get("authenticated") is True and user in told.users
