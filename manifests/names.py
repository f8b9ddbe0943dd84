"""Names, labels and quantities that Kubernetes accepts, for any model's name."""

import hashlib
import re
import unicodedata
from decimal import Decimal

__all__ = [
    "check_dns_label",
    "check_quantity",
    "dns_label",
    "label_value",
    "labels",
    "quantity",
    "selector",
]

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_QUANTITY = re.compile(r"[0-9]+([.][0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
LABEL_LIMIT = 63


def check_dns_label(text: str) -> str:
    """The text, if it is a DNS-1035 label; raises ValueError."""
    if not _DNS_LABEL.fullmatch(text):
        raise ValueError(
            "expected a name of at most 63 characters: lower-case letters, digits and -,"
            " first a letter, last no -"
        )
    return text


def check_quantity(text: str) -> str:
    """The text, if it is a resource quantity such as ``500m`` or ``32Gi``; raises ValueError."""
    if not _QUANTITY.fullmatch(text):
        raise ValueError("expected a quantity such as 500m, 4, 512Mi or 32Gi")
    return text


def _shortened(text: str, limit: int, original: str) -> str:
    """At most ``limit`` characters; what is cut or replaced is told apart by a hash."""
    if text == original and len(text) <= limit:
        return text
    digest = hashlib.sha256(original.encode()).hexdigest()[:8]
    return f"{text[: limit - 9].rstrip('-._')}-{digest}".lstrip("-._")


def dns_label(text: str, limit: int = LABEL_LIMIT) -> str:
    """A DNS-1035 label for any text; two texts never get the same one, but by a hash's chance."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    cleaned = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")
    if not cleaned[:1].isalpha():
        cleaned = f"m-{cleaned}".rstrip("-")
    return _shortened(cleaned, limit, text)


def label_value(text: str) -> str:
    """A legal label value for any text: at most 63 of ``A-Za-z0-9-_.``, alphanumeric ends."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    return _shortened(cleaned or "m", LABEL_LIMIT, text)


def selector(name: str) -> dict[str, str]:
    """What everything selects that means a deployment's pods.

    A label of our own, because KServe and KubeRay set ``app.kubernetes.io`` labels themselves.
    """
    return {"firsttoken.dev/deployment": name}


def labels(name: str, component: str, version: str) -> dict[str, str]:
    """The labels that every object carries."""
    return {
        **selector(name),
        "app.kubernetes.io/name": "vllm",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "firsttoken",
        "app.kubernetes.io/managed-by": "firsttoken",
        "app.kubernetes.io/version": label_value(version),
    }


_SUFFIXES = {
    "m": Decimal("0.001"), "": Decimal(1), "k": Decimal(10**3), "M": Decimal(10**6),
    "G": Decimal(10**9), "T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20),
    "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


def quantity(text: str | int | float) -> Decimal:
    """A resource quantity as a number; raises ValueError."""
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        raise ValueError("expected a quantity such as 500m, 4, 512Mi or 32Gi")
    suffix = found[2] or ""
    return Decimal(str(text).removesuffix(suffix)) * _SUFFIXES[suffix]
