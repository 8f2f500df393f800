import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_protocol.exceptions import InvalidHeaderFormat, InvalidHeaderValue
from ws_protocol.headers import (
    build_authorization_basic,
    build_extension,
    build_host,
    build_subprotocol,
    build_www_authenticate_basic,
    is_valid_host,
    parse_authorization_basic,
    parse_connection,
    parse_extension,
    parse_subprotocol,
    parse_upgrade,
    validate_subprotocols,
)

LISTS = {
    "Connection": parse_connection,
    "Upgrade": parse_upgrade,
    "Sec-WebSocket-Protocol": parse_subprotocol,
}

PARSERS = [*LISTS.values(), parse_extension, parse_authorization_basic]

TOKEN = st.text("!#$%&'*+-.^_`|~0123456789abcdefXYZ", min_size=1, max_size=10)

# Whatever the grammars give a meaning, and something else.
SPECIAL = st.text(' \t,;="\\/:()[]{}%~+.aZ0\x00\n\x7f\x80\xff\u0100\ud800', max_size=30)


def encode(text, encoding="utf-8"):
    return base64.b64encode(text.encode(encoding)).decode()


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "header, items",
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("a, b", ["a", "b"]),
        ("a\t,\tb", ["a", "b"]),
        (" \ta \t, \tb\t ", ["a", "b"]),
        # RFC 9110, section 5.6.1.2: empty items don't count.
        (",a", ["a"]),
        ("a,", ["a"]),
        ("a,,b", ["a", "b"]),
        (" , a , , b , ", ["a", "b"]),
        (",,,,a,,,,", ["a"]),
        # Order, case and repetition are kept.
        ("B, a, A, a", ["B", "a", "A", "a"]),
        # RFC 9110, section 5.6.2: all that a token may have.
        ("!#$%&'*+-.^_`|~09azAZ", ["!#$%&'*+-.^_`|~09azAZ"]),
    ],
)
def test_list_of_tokens_is_parsed(name, header, items):
    assert LISTS[name](header) == items


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "header, error, pos",
    [
        # At least one item.
        ("", "expected token", 0),
        (" ", "expected token", 1),
        (",", "expected token", 1),
        (" , ,\t", "expected token", 5),
        ("a b", "expected comma", 2),
        ("a;b", "expected comma", 1),
        ("a=b", "expected comma", 1),
        ("a, (b)", "expected token", 3),
        ('"a"', "expected token", 0),
        ("a\r\n", "expected comma", 1),
        ("a\0", "expected comma", 1),
        ("\xe9", "expected token", 0),
        ("a\xa0", "expected comma", 1),
        ("\u0661", "expected token", 0),
    ],
)
def test_list_that_is_none_is_rejected(name, header, error, pos):
    if name == "Upgrade":
        error = error.replace("token", "protocol")
    with pytest.raises(InvalidHeaderFormat) as raised:
        LISTS[name](header)
    shown = header.replace("\t", r"\t").replace("\r\n", r"\r\n").replace("\0", r"\x00")
    assert str(raised.value) == f"invalid {name} header: {error} at {pos} in {shown}"
    assert raised.value.args == (name, error, header, pos)


@pytest.mark.parametrize(
    "header, protocols",
    [
        ("websocket", ["websocket"]),
        ("WebSocket", ["WebSocket"]),
        ("HTTP/2.0", ["HTTP/2.0"]),
        ("h2c, websocket/13, IRC/6.9", ["h2c", "websocket/13", "IRC/6.9"]),
    ],
)
def test_upgrade_may_name_versions(header, protocols):
    assert parse_upgrade(header) == protocols


@pytest.mark.parametrize(
    "header, error, pos",
    [
        ("websocket/", "expected comma", 9),
        ("/13", "expected protocol", 0),
        ("websocket /13", "expected comma", 10),
        ("a/b/c", "expected comma", 3),
    ],
)
def test_upgrade_with_half_a_version_is_rejected(header, error, pos):
    with pytest.raises(InvalidHeaderFormat) as raised:
        parse_upgrade(header)
    assert raised.value.args == ("Upgrade", error, header, pos)


@pytest.mark.parametrize(
    "header, extensions",
    [
        ("foo", [("foo", [])]),
        ("foo, bar", [("foo", []), ("bar", [])]),
        ("foo; name", [("foo", [("name", None)])]),
        ("foo;name;", None),
        ("foo; name=value", [("foo", [("name", "value")])]),
        ('foo; name="value"', [("foo", [("name", "value")])]),
        ("foo; name = value", [("foo", [("name", "value")])]),
        ('foo\t;\tname\t=\t"value"\t', [("foo", [("name", "value")])]),
        ("foo;a;b=1;c", [("foo", [("a", None), ("b", "1"), ("c", None)])]),
        (
            "foo; a=1, bar ,, foo;a=2;a=2",
            [("foo", [("a", "1")]), ("bar", []), ("foo", [("a", "2"), ("a", "2")])],
        ),
        # RFC 9110, section 5.6.4: a backslash quotes what follows.
        (r'foo; name="\v\a\l\u\e"', [("foo", [("name", "value")])]),
        # RFC 7692, section 7.1.
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
            [
                (
                    "permessage-deflate",
                    [("client_max_window_bits", None), ("server_max_window_bits", "10")],
                )
            ],
        ),
    ],
)
def test_extensions_are_parsed(header, extensions):
    if extensions is None:
        with pytest.raises(InvalidHeaderFormat, match="expected token at 9"):
            parse_extension(header)
    else:
        assert parse_extension(header) == extensions


@pytest.mark.parametrize(
    "header, error, pos",
    [
        ("", "expected token", 0),
        (",", "expected token", 1),
        (";", "expected token", 0),
        ("foo;", "expected token", 4),
        ("foo; ", "expected token", 5),
        ("foo;;a", "expected token", 4),
        ("foo; =1", "expected token", 5),
        ("foo; a=", "expected token", 7),
        ("foo; a= ,", "expected token", 8),
        ("foo; a=;b", "expected token", 7),
        ("foo; a==1", "expected token", 7),
        ("foo; a=1 b", "expected comma", 9),
        ("foo; a b", "expected comma", 7),
        ("foo bar", "expected comma", 4),
        ("foo=1", "expected comma", 3),
        ("foo; a='1 2'", "expected comma", 10),
        # Quoted strings that aren't.
        ('foo; a="', "expected quoted string", 7),
        ('foo; a="1', "expected quoted string", 7),
        ('foo; a="1\\', "expected quoted string", 7),
        ('foo; a="1\\"', "expected quoted string", 7),
        ('foo; a="1\n"', "expected quoted string", 7),
        ('foo; a="\\\n"', "expected quoted string", 7),
        ('foo; a="\x00"', "expected quoted string", 7),
        ('foo; a="\x7f"', "expected quoted string", 7),
        ('foo; a="\u0100"', "expected quoted string", 7),
        ('foo; a="1"2', "expected comma", 10),
        ('foo; a="1""2"', "expected comma", 10),
        # RFC 6455, section 9.1: what they quote must be a token.
        ('foo; a=""', "invalid quoted header content", 7),
        ('foo; a="1 2"', "invalid quoted header content", 7),
        ('foo; a="1,2"', "invalid quoted header content", 7),
        ('foo; a="\\""', "invalid quoted header content", 7),
        ('foo; a="\\\\"', "invalid quoted header content", 7),
        ('foo; a="\xe9"', "invalid quoted header content", 7),
    ],
)
def test_extensions_that_break_the_grammar_are_rejected(header, error, pos):
    with pytest.raises(InvalidHeaderFormat) as raised:
        parse_extension(header)
    assert raised.value.args == ("Sec-WebSocket-Extensions", error, header, pos)


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.lists(
        st.tuples(TOKEN, st.lists(st.tuples(TOKEN, st.none() | TOKEN), max_size=5)),
        min_size=1,
        max_size=5,
    )
)
def test_parsing_extensions_reverses_building_them(extensions):
    assert parse_extension(build_extension(extensions)) == extensions


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(TOKEN, min_size=1, max_size=10))
def test_parsing_subprotocols_reverses_building_them(subprotocols):
    assert parse_subprotocol(build_subprotocol(subprotocols)) == subprotocols


def test_extensions_are_built_as_they_are_usually_written():
    header = build_extension([("foo", []), ("bar", [("a", None), ("b", "1")])])
    assert header == "foo, bar; a; b=1"


def test_subprotocols_are_built_as_they_are_usually_written():
    assert build_subprotocol(["chat", "superchat"]) == "chat, superchat"


@pytest.mark.slow
@pytest.mark.parametrize("parse", PARSERS)
@settings(deadline=None)
@given(st.text(max_size=20) | SPECIAL | SPECIAL.map("Basic ".__add__))
def test_any_text_is_accepted_or_ends_in_a_documented_exception(parse, header):
    try:
        parsed = parse(header)
    except (InvalidHeaderFormat, InvalidHeaderValue):
        return
    assert parsed


@settings(deadline=None)
@given(st.text(max_size=20) | SPECIAL)
def test_any_text_is_a_valid_host_or_not(header):
    assert is_valid_host(header) in (True, False)


# Much longer than a line may be: parsing that isn't linear would not come to an end.
SIZE = 2**14


@pytest.mark.parametrize(
    "header",
    [
        "," * SIZE,
        " " * SIZE,
        "\t," * SIZE,
        "a," * SIZE,
        "a" * SIZE,
        "a/" * SIZE,
        "a;" * SIZE,
        "a;a=" * SIZE,
        "a; " * SIZE,
        "a" + ";a" * SIZE,
        "a" + ' ; a = "a"' * SIZE,
        'a;a="' + "\\" * SIZE,
        'a;a="' + "\\" * SIZE + '"',
        'a;a="' + '\\"' * SIZE,
        'a;a="' + "a" * SIZE,
        'a;a="' + "\\a" * SIZE,
        'a;a="' + "\\a" * SIZE + '"',
        'a;a="' * SIZE,
        '"' * SIZE,
        "Basic " * SIZE,
        "Basic" + " " * SIZE,
        "Basic" + " " * SIZE + "\0",
        "Basic " + "a" * SIZE + "\0",
        "Basic " + "=" * SIZE,
        "Basic a" + "=" * SIZE,
        "Basic " + "a=" * SIZE,
        "Basic " + "YTpi" * SIZE,
    ],
    ids=lambda header: f"{header[:8]}...{header[-3:]}",
)
@pytest.mark.parametrize("parse", [*PARSERS, is_valid_host])
def test_long_headers_made_for_slow_parsers_come_to_an_end(parse, header):
    try:
        parse(header)
    except (InvalidHeaderFormat, InvalidHeaderValue):
        pass


def test_long_headers_are_parsed_completely():
    assert len(parse_connection("a," * SIZE)) == SIZE
    ((_, parameters),) = parse_extension("a" + ' ; a = "\\a"' * SIZE)
    assert parameters == [("a", "a")] * SIZE


@pytest.mark.parametrize(
    "subprotocols", [[], ["chat"], ["chat", "v1.chat"], ("chat",), ["!#$%&'*+-.^_`|~"]]
)
def test_valid_subprotocols_are_accepted(subprotocols):
    validate_subprotocols(subprotocols)


@pytest.mark.parametrize(
    "subprotocols, text",
    [
        ("chat", "subprotocols must be a list, not a str"),
        ("", "subprotocols must be a list, not a str"),
        ({"chat"}, "subprotocols must be a list"),
        (iter(["chat"]), "subprotocols must be a list"),
        (42, "subprotocols must be a list"),
        (None, "subprotocols must be a list"),
    ],
)
def test_subprotocols_of_other_types_are_refused(subprotocols, text):
    with pytest.raises(TypeError) as raised:
        validate_subprotocols(subprotocols)
    assert str(raised.value) == text


def test_subprotocols_that_are_bytes_are_refused():
    with pytest.raises(TypeError):
        validate_subprotocols([b"chat"])


@pytest.mark.parametrize(
    "subprotocol", ["", " ", "a b", "a,b", "a;b", "a/b", "a\n", "\na", "a\0", "\xe9", "\u0661"]
)
def test_subprotocols_that_are_no_tokens_are_refused(subprotocol):
    with pytest.raises(ValueError, match=r"^invalid subprotocol: ") as raised:
        validate_subprotocols(["chat", subprotocol])
    assert str(raised.value) == f"invalid subprotocol: {subprotocol}"


@pytest.mark.parametrize(
    "host, port, secure, always_include_port, header",
    [
        ("localhost", 80, False, False, "localhost"),
        ("localhost", 443, True, False, "localhost"),
        ("localhost", 443, False, False, "localhost:443"),
        ("localhost", 80, True, False, "localhost:80"),
        ("localhost", 8000, True, False, "localhost:8000"),
        ("localhost", 80, False, True, "localhost:80"),
        ("localhost", 443, True, True, "localhost:443"),
        ("127.0.0.1", 80, False, False, "127.0.0.1"),
        ("::1", 80, False, False, "[::1]"),
        ("::1", 8000, False, False, "[::1]:8000"),
        ("::ffff:127.0.0.1", 443, True, True, "[::ffff:127.0.0.1]:443"),
        # RFC 6874, section 3: the zone stays at home.
        ("fe80::1%eth0", 80, False, False, "[fe80::1]"),
        ("fe80::1%eth0", 8000, False, False, "[fe80::1]:8000"),
    ],
)
def test_host_is_built(host, port, secure, always_include_port, header):
    assert build_host(host, port, secure, always_include_port=always_include_port) == header
    assert is_valid_host(header)


def test_host_has_no_default_port_unless_told():
    assert build_host("localhost", 80, False) == "localhost"


@pytest.mark.parametrize(
    "header",
    [
        "localhost",
        "LOCALHOST",
        "example.com.",
        "example.com:80",
        "example.com:",
        "example.com:0",
        "example.com:65535",
        "example.com:00080",
        "xn--bcher-kva.example",
        "under_score.example",
        "192.0.2.1",
        "192.0.2.1:8000",
        "[::1]",
        "[::]:80",
        "[2001:DB8::1]:",
        "[::ffff:192.0.2.1]:443",
        # RFC 3986, section 3.2.2: registered names may have all of these.
        "a-._~!$&'()*+,;=%20",
    ],
)
def test_valid_host_is_told(header):
    assert is_valid_host(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        ":",
        ":80",
        "a b",
        " a",
        "a ",
        "a\n",
        "a\0",
        "a/",
        "a/b",
        "a@b",
        "user:pass@a",
        "a?b",
        "a#b",
        "a\\b",
        "a, b",
        '"a"',
        "<a>",
        "http://a",
        "caf\xe9",
        "a:b",
        "a:-1",
        "a:+1",
        "a:8_0",
        "a: 80",
        "a:\u0661",
        "a:65536",
        "a:000080",
        "a:" + "9" * 5000,
        "a:80:80",
        # IPv6 addresses without brackets, and brackets without IPv6 addresses.
        "::1",
        "[]",
        "[::1",
        "::1]",
        "[[::1]]",
        "[::1]80",
        "a[::1]",
        "[a]",
        "[192.0.2.1]",
        "[::1]:65536",
        "[:::]",
        "[1:2:3:4:5:6:7:8:9]",
        "[12345::]",
        "[fe80::1%eth0]",
        "[v1.a]",
    ],
)
def test_invalid_host_is_told(header):
    assert not is_valid_host(header)


@pytest.mark.parametrize(
    "realm, header",
    [
        ("", 'Basic realm="", charset="UTF-8"'),
        ("WallyWorld", 'Basic realm="WallyWorld", charset="UTF-8"'),
        ('a "b" \\c', 'Basic realm="a \\"b\\" \\\\c", charset="UTF-8"'),
        ("caf\xe9\t", 'Basic realm="caf\xe9\t", charset="UTF-8"'),
    ],
)
def test_challenge_is_built(realm, header):
    assert build_www_authenticate_basic(realm) == header


@pytest.mark.parametrize("realm", ["a\r\nSet-Cookie: a=1", "\n", "\0", "\x7f", "\u0100", "\ud800"])
def test_challenge_with_an_impossible_realm_is_refused(realm):
    with pytest.raises(ValueError, match=r"^quoted string can't have these characters: "):
        build_www_authenticate_basic(realm)


@pytest.mark.parametrize(
    "header, credentials",
    [
        # RFC 7617, sections 2 and 2.1.
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ("Aladdin", "open sesame")),
        ("Basic dGVzdDoxMjPCow==", ("test", "123£")),
        ("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ("Aladdin", "open sesame")),
        ("BASIC QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ("Aladdin", "open sesame")),
        ("Basic   QWxhZGRpbjpvcGVuIHNlc2FtZQ==  ", ("Aladdin", "open sesame")),
        (f"Basic {encode(':')}", ("", "")),
        (f"Basic {encode('user:')}", ("user", "")),
        (f"Basic {encode(':pass')}", ("", "pass")),
        # Only the first colon counts.
        (f"Basic {encode('user:pass:word')}", ("user", "pass:word")),
        (f"Basic {encode('usér:pässwörd€')}", ("usér", "pässwörd€")),
    ],
)
def test_credentials_are_parsed(header, credentials):
    assert parse_authorization_basic(header) == credentials


SECRET = encode("user:secret")


@pytest.mark.parametrize(
    "header, text",
    [
        ("", "expected scheme at 0 in ***"),
        (" ", "expected scheme at 0 in ***"),
        (f" Basic {SECRET}", "expected scheme at 0 in ***"),
        (f"Basic:{SECRET}", "expected scheme at 0 in ***"),
        (f'"Basic" {SECRET}', "expected scheme at 0 in ***"),
        # Credentials without a scheme: they might look like one.
        (SECRET, "expected scheme at 0 in ***"),
        (SECRET.rstrip("="), "expected scheme at 0 in ***"),
        ("Basic", "expected space after scheme at 5 in Basic"),
        ("Basic ", "expected token68 at 6 in Basic ***"),
        ("basic   ", "expected token68 at 6 in basic ***"),
        (f"Basic\t{SECRET}", "expected scheme at 0 in ***"),
        (f"Basic \t{SECRET}", "expected token68 at 6 in Basic ***"),
        (f"Basic {SECRET} {SECRET}", "expected token68 at 6 in Basic ***"),
        (f"Basic {SECRET}, {SECRET}", "expected token68 at 6 in Basic ***"),
        (f"Basic {SECRET}\n", "expected token68 at 6 in Basic ***"),
        (f"Basic ={SECRET}", "expected token68 at 6 in Basic ***"),
        ("Basic user:secret", "expected token68 at 6 in Basic ***"),
        ("Basic us\xe9r", "expected token68 at 6 in Basic ***"),
    ],
)
def test_credentials_that_break_the_grammar_are_rejected_and_not_shown(header, text):
    with pytest.raises(InvalidHeaderFormat) as raised:
        parse_authorization_basic(header)
    assert str(raised.value) == f"invalid Authorization header: {text}"


@pytest.mark.parametrize(
    "header, text",
    [
        (f"Bearer {SECRET}", "unsupported scheme: Bearer"),
        (f"Basics {SECRET}", "unsupported scheme: Basics"),
        ('Digest username="user"', "unsupported scheme: Digest"),
        # Characters, length and padding of base64.
        (f"Basic {SECRET.rstrip('=')}", "expected base64-encoded credentials"),
        (f"Basic {SECRET}=", "expected base64-encoded credentials"),
        (f"Basic {SECRET[:-1]}", "expected base64-encoded credentials"),
        (f"Basic -{SECRET}", "expected base64-encoded credentials"),
        (f"Basic _._~{SECRET}", "expected base64-encoded credentials"),
        # What is encoded.
        (f"Basic {encode('usér:secret', 'iso-8859-1')}", "expected base64-encoded credentials"),
        (f"Basic {encode('secret')}", "expected username:password credentials"),
        *[
            (f"Basic {encode(user_pass)}", "unexpected control characters in credentials")
            for user_pass in ("us\ner:secret", "user:sec\0ret", "user:secret\x7f", "\x1b[2J:secret")
        ],
    ],
)
def test_unacceptable_credentials_are_rejected_and_not_shown(header, text):
    with pytest.raises(InvalidHeaderValue) as raised:
        parse_authorization_basic(header)
    assert str(raised.value) == f"invalid Authorization header: {text}"
    # Nor does a traceback show them.
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    "username, password, header",
    [
        ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test", "123£", "Basic dGVzdDoxMjPCow=="),
        ("", "", "Basic Og=="),
        ("user", "pass:word", f"Basic {encode('user:pass:word')}"),
    ],
)
def test_credentials_are_built(username, password, header):
    assert build_authorization_basic(username, password) == header


@pytest.mark.parametrize(
    "username, password, text",
    [
        ("us:er", "secret", "username can't contain a colon"),
        ("us\ner", "secret", "username and password can't contain control characters"),
        ("user", "sec\0ret", "username and password can't contain control characters"),
        ("user", "secret\x7f", "username and password can't contain control characters"),
    ],
)
def test_impossible_credentials_are_refused_and_not_shown(username, password, text):
    with pytest.raises(ValueError, match="username") as raised:
        build_authorization_basic(username, password)
    assert str(raised.value) == text


CREDENTIALS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=10)


@pytest.mark.slow
@settings(deadline=None)
@given(CREDENTIALS.filter(lambda username: ":" not in username), CREDENTIALS)
def test_parsing_credentials_reverses_building_them(username, password):
    header = build_authorization_basic(username, password)
    assert parse_authorization_basic(header) == (username, password)
