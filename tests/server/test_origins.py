"""Origins of other sites: taken as browsers write them, and nothing that could become more than an origin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.origins import clean_origin, clean_origins


@pytest.mark.parametrize(
    ("typed", "origin"),
    [
        ("https://portal.example.org", "https://portal.example.org"),
        (" HTTPS://Portal.Example.ORG/ ", "https://portal.example.org"),
        ("https://portal.example.org:443", "https://portal.example.org"),
        ("https://portal.example.org:8443", "https://portal.example.org:8443"),
        ("https://портал.рф", "https://xn--80awhdgm.xn--p1ai"),
        ("https://192.0.2.7", "https://192.0.2.7"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(typed: str, origin: str) -> None:
    assert clean_origin(typed) == origin


@pytest.mark.parametrize(
    "typed",
    [
        *("", "portal.example.org", "*", "https://*.example.org", "'self'", "null", "https:", "https://"),
        *("https://a.example/page", "https://a.example?x", "https://a.example#x", "https://me@a.example"),
        *("http://portal.example.org", "ftp://a.example", "javascript:alert(1)", "data:text/html,x"),
        *("https://a.example; script-src *", "https://a.example https://b.example", "https://a.example,b"),
        *("https://a.example\r\nX: y", "https://a.example:0", "https://a.example:65536", "https://a..example"),
        *("https://-a.example", "https://[::1]", "https://" + "a" * 64 + ".example", "https://a_b.example"),
    ],
)
def test_what_is_no_origin_is_refused_with_what_is_taken(typed: str) -> None:
    with pytest.raises(ValueError, match=r"takes https://host"):
        clean_origin(typed)


@given(st.text(max_size=40), st.sampled_from(["", "https://", "http://localhost", "https://a.example"]))
def test_no_text_becomes_more_than_one_source_of_a_policy(text: str, start: str) -> None:
    try:
        origin = clean_origin(start + text)
    except ValueError:
        return
    assert origin.isascii()
    assert not set(origin) & set(" ;,'\"*\r\n\t@")
    assert clean_origin(origin) == origin


def test_each_stands_once_and_they_are_few() -> None:
    assert clean_origins(["https://b.example", "https://A.example", "https://a.example"]) == (
        "https://b.example",
        "https://a.example",
    )
    with pytest.raises(ValueError, match="got 21 origins, takes 20"):
        clean_origins([f"https://s{number}.example" for number in range(21)])
