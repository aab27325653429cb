"""What a domain is, in which form it is stored, and which certificate is good for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.ingress import domains
from clusters.ingress.domains import InvalidDomain
from tests.strategies import ANY_TEXT

LONG = ".".join(["a" * 61] * 4)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("app.example.com", "app.example.com"),
        (" App.Example.COM. ", "app.example.com"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("faß.example", "xn--fa-hia.example"),
        ("*.example.com", "*.example.com"),
        ("*.münchen.example", "*.xn--mnchen-3ya.example"),
        ("localhost", "localhost"),
        ("app.localhost", "app.localhost"),
        ("1.example.com", "1.example.com"),
        ("a--b.example.com", "a--b.example.com"),
        (LONG, LONG),
    ],
)
def test_a_domain_has_one_stored_form(typed: str, stored: str) -> None:
    assert domains.normal(typed) == stored
    assert domains.normal(stored) == stored


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Type a domain"),
        (".", "Type a domain"),
        ("https://app.example.com", "domain alone"),
        ("app.example.com/path", "domain alone"),
        ("app.example.com:443", "domain alone"),
        ("app", "no full domain"),
        ("*.com", "no full domain"),
        ("app..example.com", "letters, digits and hyphens"),
        ("-app.example.com", "letters, digits and hyphens"),
        ("app-.example.com", "letters, digits and hyphens"),
        ("app_1.example.com", "letters, digits and hyphens"),
        ("app.example.com..", "letters, digits and hyphens"),
        ("a b.example.com", "letters, digits and hyphens"),
        ("app\n.example.com", "letters, digits and hyphens"),
        ("*", "letters, digits and hyphens"),
        ("a.*.example.com", "letters, digits and hyphens"),
        ("*.*.example.com", "letters, digits and hyphens"),
        ("app.example.com`) || Host(`evil.example", "letters, digits and hyphens"),
        ('"app".example.com', "letters, digits and hyphens"),
        ("xn--a.example.com", "letters, digits and hyphens"),
        ("xn--.example.com", "letters, digits and hyphens"),
        ("☃﷐.example", "letters, digits and hyphens"),
        ("a" * 64 + ".example.com", "letters, digits and hyphens"),
        (f"{LONG}.example", "no full domain"),
        ("192.0.2.1", "IP address"),
        ("127.0.0.0x1", "IP address"),
    ],
)
def test_what_is_no_domain_is_refused_in_plain_words(typed: str, words: str) -> None:
    with pytest.raises(InvalidDomain, match=words):
        domains.normal(typed)


@given(ANY_TEXT | st.text("aZ-.*xn0é。ß`'\"()|&\\ \n\x00İK", max_size=20))
def test_whatever_is_typed_is_refused_or_safe_in_a_rule(typed: str) -> None:
    try:
        stored = domains.normal(typed)
    except InvalidDomain:
        return
    assert set(stored.removeprefix("*.")) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert domains.normal(stored) == stored


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("app.example.com", "app.example.com"),
        ("xn--mnchen-3ya.example", "münchen.example (xn--mnchen-3ya.example)"),
        ("*.xn--mnchen-3ya.example", "*.münchen.example (*.xn--mnchen-3ya.example)"),
        ("xn--a.example", "xn--a.example"),
    ],
)
def test_people_see_both_forms_of_a_name(stored: str, shown: str) -> None:
    assert domains.shown(stored) == shown


def test_a_wildcard_is_asked_for_by_a_name_below_it() -> None:
    assert domains.reachable("*.example.com") == "medstack-check.example.com"
    assert domains.reachable("app.example.com") == "app.example.com"


@pytest.mark.parametrize(
    ("certified", "domain", "is_good"),
    [
        ("app.example.com", "app.example.com", True),
        ("*.example.com", "app.example.com", True),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("app.example.com", "*.example.com", False),
        ("*.example.com", "*.b.example.com", False),
        ("app.example.com", "api.example.com", False),
    ],
)
def test_a_wildcard_certificate_is_good_for_one_level(
    certified: str, domain: str, is_good: bool
) -> None:
    assert domains.covers(certified, domain) == is_good
