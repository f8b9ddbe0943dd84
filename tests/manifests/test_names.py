"""Names and labels are legal for any model's name, and never two for one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.manifests.names import check_dns_label, check_quantity, dns_label, label_value

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
TEXTS = st.text(min_size=1, max_size=220)


@given(TEXTS, st.integers(min_value=12, max_value=63))
def test_any_text_gives_a_legal_dns_label(text: str, limit: int) -> None:
    name = dns_label(text, limit)

    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= limit
    assert check_dns_label(name) == name


@given(TEXTS)
def test_any_text_gives_a_legal_label_value(text: str) -> None:
    assert LABEL_VALUE.fullmatch(label_value(text))


@given(TEXTS, TEXTS)
def test_two_models_never_share_a_name(first: str, second: str) -> None:
    assert (dns_label(first) == dns_label(second)) == (first == second)
    assert (label_value(first) == label_value(second)) == (first == second)


def test_a_legal_name_stays_as_it_is() -> None:
    assert dns_label("chat-8b") == "chat-8b"
    assert label_value("v0.32.0") == "v0.32.0"


def test_a_hub_id_stays_readable() -> None:
    assert dns_label("meta-llama/Meta-Llama-3-8B").startswith("meta-llama-meta-llama-3-8b-")


@pytest.mark.parametrize("text", ["Chat", "1b", "a_b", "-a", "a-", "", "a" * 64, "modèle"])
def test_an_illegal_name_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="lower-case letters, digits and -"):
        check_dns_label(text)


@pytest.mark.parametrize("text", ["", "4 Gi", "4gb", "-1", "1e9", "٣Gi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500m"):
        check_quantity(text)
