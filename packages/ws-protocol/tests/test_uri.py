import itertools
import traceback
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import InvalidURI
from ws_protocol.headers import build_host, is_valid_host
from ws_protocol.http11 import Request
from ws_protocol.uri import WebSocketURI, parse_uri


@pytest.mark.parametrize(
    "uri, parsed",
    [
        ("ws://localhost/", WebSocketURI(False, "localhost", 80, "/", "")),
        ("wss://localhost/", WebSocketURI(True, "localhost", 443, "/", "")),
        ("ws://localhost", WebSocketURI(False, "localhost", 80, "", "")),
        ("ws://localhost/path", WebSocketURI(False, "localhost", 80, "/path", "")),
        ("ws://localhost/a/../b/", WebSocketURI(False, "localhost", 80, "/a/../b/", "")),
        ("ws://localhost//a", WebSocketURI(False, "localhost", 80, "//a", "")),
        ("ws://localhost/;a=b", WebSocketURI(False, "localhost", 80, "/;a=b", "")),
        ("ws://localhost/?a=b", WebSocketURI(False, "localhost", 80, "/", "a=b")),
        ("ws://localhost?a=b", WebSocketURI(False, "localhost", 80, "", "a=b")),
        ("ws://localhost/?", WebSocketURI(False, "localhost", 80, "/", "")),
        ("ws://localhost/?a?b/c", WebSocketURI(False, "localhost", 80, "/", "a?b/c")),
        ("ws://localhost/@?@", WebSocketURI(False, "localhost", 80, "/@", "@")),
        ("ws://localhost/a:b", WebSocketURI(False, "localhost", 80, "/a:b", "")),
        # Ports.
        ("ws://localhost:8765/", WebSocketURI(False, "localhost", 8765, "/", "")),
        ("wss://localhost:80/", WebSocketURI(True, "localhost", 80, "/", "")),
        ("ws://localhost:", WebSocketURI(False, "localhost", 80, "", "")),
        ("wss://localhost:/", WebSocketURI(True, "localhost", 443, "/", "")),
        ("ws://localhost:65535/", WebSocketURI(False, "localhost", 65535, "/", "")),
        ("ws://localhost:00080/", WebSocketURI(False, "localhost", 80, "/", "")),
        # RFC 3986, section 3.1 and 3.2.2: scheme and host are case-insensitive, the rest isn't.
        ("WS://LocalHost/PATH?QUERY", WebSocketURI(False, "localhost", 80, "/PATH", "QUERY")),
        ("wSs://LOCALHOST/", WebSocketURI(True, "localhost", 443, "/", "")),
        # Hosts.
        ("ws://127.0.0.1/", WebSocketURI(False, "127.0.0.1", 80, "/", "")),
        ("ws://example.com./", WebSocketURI(False, "example.com.", 80, "/", "")),
        ("ws://my_service/", WebSocketURI(False, "my_service", 80, "/", "")),
        ("ws://a-b.c~d!$&'()*+,;=/", WebSocketURI(False, "a-b.c~d!$&'()*+,;=", 80, "/", "")),
        ("ws://[::1]/", WebSocketURI(False, "::1", 80, "/", "")),
        ("ws://[::1]:8765/", WebSocketURI(False, "::1", 8765, "/", "")),
        ("ws://[::1]:/", WebSocketURI(False, "::1", 80, "/", "")),
        ("ws://[2001:DB8::A]/", WebSocketURI(False, "2001:db8::a", 80, "/", "")),
        ("ws://[::ffff:192.0.2.1]/", WebSocketURI(False, "::ffff:192.0.2.1", 80, "/", "")),
        ("ws://[FE80::1%Eth0]/", WebSocketURI(False, "fe80::1%Eth0", 80, "/", "")),
        ("ws://[FE80::1%25Eth0]/", WebSocketURI(False, "fe80::1%Eth0", 80, "/", "")),
        ("ws://[FE80::1%25]/", WebSocketURI(False, "fe80::1%25", 80, "/", "")),
        ("ws://[FE80::1%2525]/", WebSocketURI(False, "fe80::1%25", 80, "/", "")),
        # IDNA.
        ("ws://bücher.example/", WebSocketURI(False, "xn--bcher-kva.example", 80, "/", "")),
        ("ws://BÜCHER.example/", WebSocketURI(False, "xn--bcher-kva.example", 80, "/", "")),
        ("ws://xn--bcher-kva.example/", WebSocketURI(False, "xn--bcher-kva.example", 80, "/", "")),
        ("ws://例え。テスト/", WebSocketURI(False, "xn--r8jz45g.xn--zckzah", 80, "/", "")),
        # Percent-encoding of what can't stand in a request line, and of nothing else.
        ("ws://localhost/café", WebSocketURI(False, "localhost", 80, "/caf%C3%A9", "")),
        ("ws://localhost/?café", WebSocketURI(False, "localhost", 80, "/", "caf%C3%A9")),
        ("ws://localhost/a b?c d", WebSocketURI(False, "localhost", 80, "/a%20b", "c%20d")),
        ("ws://localhost/ ", WebSocketURI(False, "localhost", 80, "/%20", "")),
        ("ws://localhost/\x80\xa0", WebSocketURI(False, "localhost", 80, "/%C2%80%C2%A0", "")),
        ("ws://localhost/%20%c3%A9", WebSocketURI(False, "localhost", 80, "/%20%c3%A9", "")),
        ("ws://localhost/100%?%", WebSocketURI(False, "localhost", 80, "/100%", "%")),
        ("ws://localhost/%00%0D%0A", WebSocketURI(False, "localhost", 80, "/%00%0D%0A", "")),
        (
            "ws://localhost/:@[]!$&'()*+,;=-._~?/?:@[]!$&'()*+,;=-._~",
            WebSocketURI(
                False,
                "localhost",
                80,
                "/:@[]!$&'()*+,;=-._~",
                "/?:@[]!$&'()*+,;=-._~",
            ),
        ),
        (
            'ws://localhost/"<>\\^`{|}',
            WebSocketURI(False, "localhost", 80, "/%22%3C%3E%5C%5E%60%7B%7C%7D", ""),
        ),
        # Credentials.
        (
            "ws://user:pass@localhost/",
            WebSocketURI(False, "localhost", 80, "/", "", "user", "pass"),
        ),
        ("ws://user:@localhost/", WebSocketURI(False, "localhost", 80, "/", "", "user", "")),
        ("ws://:pass@localhost/", WebSocketURI(False, "localhost", 80, "/", "", "", "pass")),
        ("ws://:@localhost/", WebSocketURI(False, "localhost", 80, "/", "", "", "")),
        ("ws://a:b:c@localhost/", WebSocketURI(False, "localhost", 80, "/", "", "a", "b:c")),
        ("ws://a:b@c@localhost/", WebSocketURI(False, "localhost", 80, "/", "", "a", "b@c")),
        (
            "ws://us%C3%A9r:p%40ss%3A%2F@localhost/",
            WebSocketURI(False, "localhost", 80, "/", "", "usér", "p@ss:/"),
        ),
        (
            "ws://usér:pä+ss@localhost/",
            WebSocketURI(False, "localhost", 80, "/", "", "usér", "pä+ss"),
        ),
        ("ws://User:Pass@[::1]:81/", WebSocketURI(False, "::1", 81, "/", "", "User", "Pass")),
    ],
)
def test_uri_is_parsed(uri, parsed):
    assert parse_uri(uri) == parsed


def test_uri_that_is_parsed_again_is_another_object():
    parsed = parse_uri("ws://localhost/")
    parsed.host = "example.com"
    assert parse_uri("ws://localhost/").host == "localhost"


@pytest.mark.parametrize(
    "uri, text",
    [
        ("", "scheme isn't ws or wss"),
        ("localhost", "scheme isn't ws or wss"),
        ("localhost:80", "scheme isn't ws or wss"),
        ("//localhost/", "scheme isn't ws or wss"),
        ("/path", "scheme isn't ws or wss"),
        ("http://localhost/", "scheme isn't ws or wss"),
        ("https://localhost/", "scheme isn't ws or wss"),
        ("wsss://localhost/", "scheme isn't ws or wss"),
        ("ws+unix://localhost/", "scheme isn't ws or wss"),
        ("w%73://localhost/", "scheme isn't ws or wss"),
        ("ws:", "hostname isn't provided"),
        ("ws://", "hostname isn't provided"),
        ("ws:///path", "hostname isn't provided"),
        ("ws:localhost", "hostname isn't provided"),
        ("ws:/localhost", "hostname isn't provided"),
        ("ws://:80/", "hostname isn't provided"),
        ("ws://?a=b", "hostname isn't provided"),
        ("ws://user:pass@/", "hostname isn't provided"),
        ("ws://user:pass@:80/", "hostname isn't provided"),
        ("ws://localhost/#", "fragment identifier is meaningless"),
        ("ws://localhost/#a", "fragment identifier is meaningless"),
        ("ws://localhost#a", "fragment identifier is meaningless"),
        ("ws://localhost/?a#b?c", "fragment identifier is meaningless"),
        ("ws://localhost/##", "fragment identifier is meaningless"),
        ("ws://user@localhost/", "username provided without password"),
        ("ws://@localhost/", "username provided without password"),
        ("ws://a%3Ab:c@localhost/", "username can't contain a colon"),
        # Ports.
        ("ws://localhost:65536/", "port isn't a number up to 65535"),
        ("ws://localhost:-1/", "port isn't a number up to 65535"),
        ("ws://localhost:+80/", "port isn't a number up to 65535"),
        ("ws://localhost:8_0/", "port isn't a number up to 65535"),
        ("ws://localhost: 80/", "port isn't a number up to 65535"),
        ("ws://localhost:80 /", "port isn't a number up to 65535"),
        ("ws://localhost:٨٠/", "port isn't a number up to 65535"),
        ("ws://localhost:http/", "port isn't a number up to 65535"),
        ("ws://localhost:80:80/", "port isn't a number up to 65535"),
        ("ws://[::1]:a/", "port isn't a number up to 65535"),
        ("ws://::1/", "port isn't a number up to 65535"),
        # Brackets.
        ("ws://[::1/", "hostname isn't valid"),
        ("ws://::1]/", "hostname isn't valid"),
        ("ws://[]/", "hostname isn't valid"),
        ("ws://[localhost]/", "hostname isn't valid"),
        ("ws://[127.0.0.1]/", "hostname isn't valid"),
        ("ws://[:::1]/", "hostname isn't valid"),
        ("ws://[12345::]/", "hostname isn't valid"),
        ("ws://[::1%]/", "hostname isn't valid"),
        ("ws://[v1.a:b]/", "hostname isn't valid"),
        ("ws://[::1]a/", "hostname isn't valid"),
        ("ws://a[::1]/", "hostname isn't valid"),
        ("ws://a[::1]b:80/", "hostname isn't valid"),
        ("ws://[::1][::1]/", "hostname isn't valid"),
        # Other characters.
        ("ws://local host/", "hostname has characters that aren't allowed"),
        ("ws://localhost /", "hostname has characters that aren't allowed"),
        ("ws:// localhost/", "hostname has characters that aren't allowed"),
        ("ws://local\\host/", "hostname has characters that aren't allowed"),
        ("ws://evil.example\\.example.com/", "hostname has characters that aren't allowed"),
        ("ws://<localhost>/", "hostname has characters that aren't allowed"),
        ("ws://local|host/", "hostname has characters that aren't allowed"),
        ("ws://{localhost}/", "hostname has characters that aren't allowed"),
        ("ws://local^host/", "hostname has characters that aren't allowed"),
        ('ws://"localhost"/', "hostname has characters that aren't allowed"),
        # What IDNA turns into something else.
        ("ws://local\u3000host/", "hostname has characters that aren't allowed"),
        ("ws://ex\u2100mple/", "hostname isn't valid"),
        ("ws://evil.example\uff0fexample.com/", "hostname isn't valid"),
        ("ws://user\uff20localhost/", "hostname isn't valid"),
        # Labels.
        ("ws://example..com/", "hostname can't be encoded with IDNA"),
        ("ws://.example.com/", "hostname can't be encoded with IDNA"),
        (f"ws://{'a' * 64}.com/", "hostname can't be encoded with IDNA"),
        (f"ws://{'ü' * 64}.com/", "hostname can't be encoded with IDNA"),
        ("ws://büch\u200eer/", "hostname can't be encoded with IDNA"),
        ("ws://\xad\xad/", "hostname can't be encoded with IDNA"),
    ],
)
def test_invalid_uri_is_refused(uri, text):
    with pytest.raises(InvalidURI) as raised:
        parse_uri(uri)
    assert raised.value.args == (uri, text)


@pytest.mark.parametrize("char", ["\0", "\t", "\n", "\r", "\x1b", "\x1f", "\x7f", "\ud800"])
@pytest.mark.parametrize(
    "template",
    [
        "{}ws://a/",
        "w{}s://a/",
        "ws:{}//a/",
        "ws://{}a/",
        "ws://a{}/",
        "ws://a:8{}0/",
        "ws://a/{}",
        "ws://a/b{}",
        "ws://a/?{}",
        "ws://a/?b{}",
        "ws://a/#{}",
        "ws://u{}:p@a/",
        "ws://u:p{}@a/",
    ],
)
def test_uri_with_a_control_character_anywhere_is_refused(template, char):
    with pytest.raises(InvalidURI, match="control characters aren't allowed") as raised:
        parse_uri(template.format(char))
    assert char not in str(raised.value)


@pytest.mark.parametrize("user_info", ["us%0D%0Aer:pass", "user:pa%00ss", "user:pass%7F"])
def test_uri_with_a_percent_encoded_control_character_in_credentials_is_refused(user_info):
    text = "control characters aren't allowed in username and password"
    with pytest.raises(InvalidURI, match=text):
        parse_uri(f"ws://{user_info}@localhost/")


@pytest.mark.parametrize(
    "uri",
    [
        "alice:secret@localhost",
        "http://alice:secret@localhost/",
        "ws:alice:secret@localhost",
        "ws://alice:secret@",
        "ws://alice:secret@:80",
        "ws://alice:secret@localhost/#",
        "ws://alice:secret@localhost:65536",
        "ws://alice:secret@localhost:a",
        "ws://alice:secret@local host",
        "ws://alice:secret@a..b",
        "ws://alice:secret@ex\u2100mple",
        "ws://alice:secret@[::1",
        "ws://alice:secret@localhost/\n",
        "ws://secret@localhost",
        "ws://alice%3A:secret@localhost",
        "ws://alice:%00secret@localhost",
        # Passwords that should have been percent-encoded.
        "ws://alice:se/cret@localhost",
        "ws://alice:secret/@localhost",
        "ws://alice:x/secret@localhost",
        "ws://alice:x?secret@localhost",
        "ws://alice:secret?@localhost",
        "ws://alice:#secret@localhost",
        "ws://alice:secret#@localhost",
        "ws://alice:[secret@localhost",
        "ws://alice:secret]@localhost",
    ],
)
def test_credentials_are_never_shown(uri):
    with pytest.raises(InvalidURI) as raised:
        parse_uri(uri)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    for part in ("alice", "secret", "cret"):
        assert part not in shown


def test_repr_does_not_show_the_password():
    assert repr(parse_uri("ws://user:secret@localhost:81/a?b")) == (
        "WebSocketURI(secure=False, host='localhost', port=81, path='/a', query='b', "
        "username='user')"
    )


@pytest.mark.parametrize(
    "uri, resource_name",
    [
        ("ws://localhost", "/"),
        ("ws://localhost/", "/"),
        ("ws://localhost?a=b", "/?a=b"),
        ("ws://localhost/?", "/"),
        ("ws://localhost/path", "/path"),
        ("ws://localhost/path?a=b", "/path?a=b"),
        ("ws://localhost/café ?a b", "/caf%C3%A9%20?a%20b"),
    ],
)
def test_resource_name_has_path_and_query(uri, resource_name):
    assert parse_uri(uri).resource_name == resource_name


@pytest.mark.parametrize(
    "uri, user_info",
    [
        ("ws://localhost", None),
        ("ws://user:pass@localhost", ("user", "pass")),
        ("ws://:@localhost", ("", "")),
    ],
)
def test_user_info_has_username_and_password(uri, user_info):
    assert parse_uri(uri).user_info == user_info


@pytest.mark.parametrize("username, password", [("user", None), (None, "pass")])
def test_half_a_user_info_is_none(username, password):
    assert WebSocketURI(False, "localhost", 80, "/", "", username, password).user_info is None


SAME_ORIGIN = ["ws://a", "ws://a/", "ws://A:80/b", "ws://user:pass@a/?c", "WS://a:/"]
OTHER_ORIGINS = ["wss://a", "ws://a:443", "wss://a:80", "ws://b", "ws://a.", "ws://[::a]"]


def test_origin_is_scheme_host_and_port():
    origins = [parse_uri(uri).origin for uri in (SAME_ORIGIN[0], *OTHER_ORIGINS)]
    assert len(set(origins)) == len(origins)
    assert {parse_uri(uri).origin for uri in SAME_ORIGIN} == {origins[0]}


@pytest.mark.parametrize(
    "scheme, user_info, host, port, path, query",
    list(
        itertools.product(
            ["ws", "wss"],
            ["", "user:pass@"],
            ["example.com", "[2001:db8::1]", "192.0.2.1"],
            ["", ":8765"],
            ["", "/", "/a/b"],
            ["", "?c=d"],
        )
    ),
)
def test_every_combination_of_parts_is_parsed(scheme, user_info, host, port, path, query):
    parsed = parse_uri(f"{scheme}://{user_info}{host}{port}{path}{query}")
    assert parsed.secure is (scheme == "wss")
    assert parsed.user_info == (("user", "pass") if user_info else None)
    assert parsed.host == host.strip("[]")
    assert parsed.port == (8765 if port else 443 if scheme == "wss" else 80)
    assert parsed.resource_name == (path or "/") + query


PART = st.text("aB0 .-:/?#[]@%\\!\0\n\x7f\xe9ü\uff0f\u3000\ud800", max_size=10) | st.text(
    max_size=5
)


@pytest.mark.slow
@settings(deadline=None)
@given(st.sampled_from(["", "ws:", "ws://", "wss://", "ws://a/", "ws://[", "http://"]), PART, PART)
def test_any_text_is_refused_or_can_be_requested(start, first, second):
    try:
        parsed = parse_uri(start + first + second)
    except InvalidURI as exc:
        str(exc).encode()
        return
    assert is_valid_host(build_host(parsed.host, parsed.port, parsed.secure))
    # The request can be built, and doesn't ask for more than one thing.
    Request(parsed.resource_name, Headers()).serialize()


@pytest.mark.parametrize("uri", [None, b"ws://localhost/", 8765])
def test_what_is_no_string_is_refused_as_such(uri):
    with pytest.raises(TypeError, match=f"^URI must be a str, not {type(uri).__name__}$"):
        parse_uri(uri)


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"])),
    st.text(st.characters(exclude_categories=["Cc", "Cs"])),
)
def test_percent_encoded_credentials_are_decoded(username, password):
    quoted = [urllib.parse.quote(text, safe="") for text in (username, password)]
    uri = f"ws://{':'.join(quoted)}@localhost/"
    if ":" in username:
        with pytest.raises(InvalidURI):
            parse_uri(uri)
    else:
        assert parse_uri(uri).user_info == (username, password)
