"""Reach the engine first: is it there, what does it serve, and how far away is it."""

import statistics
import time
from urllib.parse import urlsplit

import requests

from firsttoken.config import public_address
from firsttoken.errors import NotJudgedError, UsageError
from firsttoken.loadgen.settings import api_key
from firsttoken.report.schema import Engine

__all__ = ["alive", "base_url", "reach"]

_PROBES = 7
_TIMEOUT_S = 10.0


def base_url(target: str) -> str:
    """The engine's address without a path; raises UsageError for what is not an HTTP URL."""
    parts = urlsplit(target if "//" in target else f"http://{target}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise UsageError(
            f"--target {public_address(target)}: expected a URL such as http://127.0.0.1:8000"
        )
    if parts.username or parts.password:
        raise UsageError(
            f"--target {public_address(target)}: a plain address is expected; a key goes into the"
            " environment as FIRSTTOKEN_API_KEY"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"


def _session() -> requests.Session:
    session = requests.Session()
    key = api_key()
    if key:
        session.headers["Authorization"] = f"Bearer {key}"
    return session


def reach(url: str, model: str | None = None) -> Engine:
    """Ask the engine for its models and version, and time a request that does no work.

    Raises NotJudgedError when it does not answer as an OpenAI-compatible server, UsageError when
    it does not serve the ``model``.
    """
    session = _session()
    served = _models(session, url)
    if model is None:
        model = served[0]
    elif model not in served:
        raise UsageError(f"{public_address(url)} serves {', '.join(served)}, not {model}")
    health = _get(session, f"{url}/health")
    if health is not None and health.status_code >= 500:
        raise NotJudgedError(
            f"{public_address(url)}/health answers {health.status_code}: the engine is not ready"
        )
    return Engine(
        url=url, model=model, version=_version(session, url), round_trip=_round_trip(session, url)
    )


def _models(session: requests.Session, url: str) -> list[str]:
    address = f"{url}/v1/models"
    try:
        response = session.get(address, timeout=_TIMEOUT_S)
    except requests.RequestException as exc:
        raise NotJudgedError(
            f"the engine at {public_address(url)} cannot be reached: {_reason(exc)}"
        ) from None
    if response.status_code in (401, 403):
        raise NotJudgedError(
            f"{public_address(address)} answers {response.status_code}: set FIRSTTOKEN_API_KEY to"
            " the engine's key"
        )
    try:
        served = [str(item["id"]) for item in response.json()["data"]] if response.ok else []
    except (ValueError, KeyError, TypeError):
        served = []
    if not served:
        raise NotJudgedError(
            f"{public_address(address)} answers {response.status_code} and lists no models; is this"
            " an engine with an OpenAI-compatible API?"
        )
    return served


def _reason(exc: requests.RequestException) -> str:
    if isinstance(exc, requests.Timeout):
        return "no answer in time"
    text = str(exc).lower()
    for sign, reason in (
        ("refused", "connection refused"),
        ("name or service not known", "unknown host name"),
        ("failed to resolve", "unknown host name"),
        ("certificate", "its TLS certificate is not trusted"),
    ):
        if sign in text:
            return reason
    return type(exc).__name__


def _get(session: requests.Session, address: str) -> requests.Response | None:
    try:
        return session.get(address, timeout=_TIMEOUT_S)
    except requests.RequestException:
        return None


def _version(session: requests.Session, url: str) -> str | None:
    response = _get(session, f"{url}/version")
    try:
        return str(response.json()["version"]) if response is not None and response.ok else None
    except (ValueError, KeyError, TypeError):
        return None


def _round_trip(session: requests.Session, url: str) -> float | None:
    """The median seconds of a request on a connection that is open already."""
    taken = []
    for _ in range(_PROBES):
        began = time.perf_counter()
        if _get(session, f"{url}/v1/models") is None:
            return None
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def alive(url: str) -> bool:
    """Whether anything still accepts and answers requests there; a busy server counts as alive."""
    try:
        requests.get(f"{url}/health", timeout=_TIMEOUT_S)
    except requests.Timeout:
        return True
    except requests.RequestException:
        return False
    return True
