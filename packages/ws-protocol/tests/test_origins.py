import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_protocol.headers import is_valid_host
from ws_protocol.origins import is_allowed_host, is_same_origin


@pytest.mark.parametrize(
    "origin, host",
    [
        ("http://example.com", "example.com"),
        ("https://example.com", "example.com"),
        ("HTTPS://Example.COM", "eXample.com"),
        ("http://example.com", "example.com:80"),
        ("http://example.com:80", "example.com"),
        ("https://example.com", "example.com:443"),
        ("https://example.com:443", "example.com"),
        ("https://example.com", "example.com:"),
        ("http://example.com:8765", "example.com:8765"),
        ("http://127.0.0.1:8765", "127.0.0.1:8765"),
        ("http://[::1]:8765", "[::1]:8765"),
        ("http://[::1]", "[0:0:0:0:0:0:0:1]:80"),
        ("http://[2001:DB8::1]", "[2001:db8::1]"),
    ],
)
def test_page_of_the_server_has_its_origin(origin, host):
    assert is_same_origin(origin, host)


@pytest.mark.parametrize(
    "origin, host",
    [
        ("null", "null"),
        ("null", "example.com"),
        ("", "example.com"),
        ("https://evil.example", "example.com"),
        ("https://example.com.evil.example", "example.com"),
        ("https://evil-example.com", "example.com"),
        ("https://sub.example.com", "example.com"),
        ("https://example.com", "sub.example.com"),
        # Ports
        ("http://example.com", "example.com:443"),
        ("https://example.com", "example.com:80"),
        ("http://example.com:8765", "example.com"),
        ("http://example.com:8765", "example.com:8766"),
        ("http://example.com:99999", "example.com"),
        # What isn't an origin
        ("example.com", "example.com"),
        ("//example.com", "example.com"),
        ("https://example.com/", "example.com"),
        ("https://example.com/page", "example.com"),
        ("https://example.com?", "example.com"),
        ("https://example.com#", "example.com"),
        ("https://evil.example@example.com", "example.com"),
        ("https://example.com@evil.example", "example.com"),
        ("https://example.com https://evil.example", "example.com"),
        ("https://example.com,https://evil.example", "example.com"),
        ("file://example.com", "example.com"),
        ("chrome-extension://example.com", "example.com"),
        ("ws://example.com", "example.com"),
        ("https://example.com\n", "example.com"),
        ("https://[::1", "[::1]"),
        ("https://[::2]", "[::1]"),
        ("https://[::ffff:127.0.0.1]", "127.0.0.1"),
        ("same-origin", "same-origin"),
    ],
)
def test_page_of_another_server_has_another_origin(origin, host):
    assert not is_same_origin(origin, host)


@given(st.text(), st.from_regex(r"[a-z0-9.\[\]:%~-]{1,20}", fullmatch=True).filter(is_valid_host))
def test_any_origin_can_be_compared(origin, host):
    assert is_same_origin(origin, host) in (True, False)
    assert is_same_origin(f"https://{origin}", host) in (True, False)


ALLOWED = ["example.com", "Localhost:8765", "[::1]", "127.0.0.1:80", re.compile(r"\w+\.local")]


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "EXAMPLE.com",
        "example.com:80",
        "example.com:1234",
        "localhost:8765",
        "[::1]",
        "[0::1]:8765",
        "127.0.0.1:80",
        "printer.local",
        "Printer.LOCAL:631",
    ],
)
def test_host_is_allowed(host):
    assert is_allowed_host(host, ALLOWED)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "example.com.evil.example",
        "sub.example.com",
        "localhost",
        "localhost:8766",
        "[::2]",
        "127.0.0.1",
        "127.0.0.1:8080",
        "printer.local.evil.example",
        "a.printer.local",
    ],
)
def test_other_host_is_not_allowed(host):
    assert not is_allowed_host(host, ALLOWED)
    assert not is_allowed_host(host, [])
