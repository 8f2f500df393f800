import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_protocol.datastructures import Headers, MultipleValuesError
from ws_protocol.exceptions import InvalidHeaderValue

TOKEN = "!#$%&'*+-.^_`|~0123456789abcXYZ"
VALUE = "".join(map(chr, [9, *range(0x20, 0x7F), *range(0x80, 0x100)]))


@pytest.fixture
def headers():
    return Headers([("Connection", "Upgrade"), ("Server", "spam")])


@pytest.fixture
def repeated():
    return Headers([("Server", "spam"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")])


class KeysAndGetItem:
    """What is neither a mapping nor an iterable."""

    def keys(self):
        return ["Server"]

    def __getitem__(self, key):
        return {"Server": "spam"}[key]


@pytest.mark.parametrize(
    "args, kwargs, items",
    [
        ([], {}, []),
        ([{}], {}, []),
        ([{"Server": "spam"}], {}, [("Server", "spam")]),
        ([[("a", "1"), ("A", "2")]], {}, [("a", "1"), ("A", "2")]),
        ([iter([("a", "1"), ("a", "2")])], {}, [("a", "1"), ("a", "2")]),
        ([KeysAndGetItem()], {}, [("Server", "spam")]),
        ([Headers([("a", "1"), ("A", "2")])], {}, [("a", "1"), ("A", "2")]),
        ([], {"Server": "spam"}, [("Server", "spam")]),
        ([{"a": "1"}], {"a": "2"}, [("a", "1"), ("a", "2")]),
        ([Headers(a="1")], {"b": "2"}, [("a", "1"), ("b", "2")]),
    ],
)
def test_headers_are_made_from_mappings_pairs_and_keywords(args, kwargs, items):
    assert list(Headers(*args, **kwargs).raw_items()) == items


def test_headers_take_no_more_than_one_mapping():
    with pytest.raises(TypeError):
        Headers({"a": "1"}, {"b": "2"})


def test_str_is_what_goes_over_the_wire(headers):
    assert str(headers) == "Connection: Upgrade\r\nServer: spam\r\n\r\n"


def test_serialize_returns_headers_and_an_empty_line(repeated):
    assert repeated.serialize() == b"Server: spam\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n\r\n"


def test_serialize_without_headers_returns_an_empty_line():
    assert Headers().serialize() == b"\r\n"


def test_serialize_encodes_values_in_iso_8859_1():
    assert Headers(Server="caf\xe9").serialize() == b"Server: caf\xe9\r\n\r\n"


def test_repr_shows_names_and_values_as_they_were_set(repeated):
    assert repr(repeated) == (
        "Headers([('Server', 'spam'), ('Set-Cookie', 'a=1'), ('set-cookie', 'b=2')])"
    )


@pytest.mark.parametrize("make_copy", [Headers.copy, copy.copy, copy.deepcopy, Headers])
def test_copy_is_equal_and_independent(repeated, make_copy):
    copied = make_copy(repeated)
    assert type(copied) is Headers
    assert copied == repeated
    assert list(copied.raw_items()) == list(repeated.raw_items())
    copied["Set-Cookie"] = "c=3"
    copied["Date"] = "today"
    del copied["Server"]
    assert list(repeated.raw_items()) == [
        ("Server", "spam"),
        ("Set-Cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]
    assert repeated.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert "Date" not in repeated


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_headers_can_be_pickled(repeated, protocol):
    loaded = pickle.loads(pickle.dumps(repeated, protocol))
    assert loaded == repeated
    assert list(loaded.raw_items()) == list(repeated.raw_items())


@pytest.mark.parametrize("key", ["Server", "server", "SERVER", "sErVeR"])
def test_keys_are_case_insensitive(headers, key):
    assert key in headers
    assert headers[key] == "spam"
    assert headers.get(key) == "spam"
    assert headers.get_all(key) == ["spam"]
    del headers[key]
    assert "Server" not in headers


@pytest.mark.parametrize("key", ["Date", "", None, 42, b"Server"])
def test_keys_that_are_not_there_are_not_contained(headers, key):
    assert key not in headers


def test_getting_a_missing_key_raises_key_error(headers):
    with pytest.raises(KeyError):
        headers["Date"]


def test_get_returns_the_default_for_a_missing_key(headers):
    assert headers.get("Date") is None
    assert headers.get("Date", "today") == "today"


def test_getting_a_repeated_key_raises_multiple_values_error(repeated):
    with pytest.raises(MultipleValuesError) as raised:
        repeated["Set-Cookie"]
    assert str(raised.value) == "'Set-Cookie'"
    # LookupError, but not KeyError: get() must not hide it behind the default.
    assert isinstance(raised.value, LookupError)
    with pytest.raises(MultipleValuesError):
        repeated.get("Set-Cookie")


@pytest.mark.parametrize(
    "args, text", [((), ""), (("",), "''"), ((" a ",), "' a '"), (("a", "b"), "('a', 'b')")]
)
def test_multiple_values_error_shows_the_key_as_key_error_does(args, text):
    assert str(MultipleValuesError(*args)) == text


def test_get_all_returns_all_values_in_order(repeated):
    assert repeated.get_all("SET-COOKIE") == ["a=1", "b=2"]
    assert repeated.get_all("Server") == ["spam"]
    assert repeated.get_all("Date") == []


def test_changing_the_list_of_values_does_not_change_headers(repeated):
    repeated.get_all("Set-Cookie").clear()
    assert repeated.get_all("Set-Cookie") == ["a=1", "b=2"]


def test_iteration_and_length_count_a_repeated_key_once(repeated):
    assert list(repeated) == ["server", "set-cookie"]
    assert len(repeated) == 2
    assert list(repeated.keys()) == ["server", "set-cookie"]


def test_setting_a_key_adds_a_value(headers):
    headers["Server"] = "eggs"
    assert headers.get_all("Server") == ["spam", "eggs"]


def test_setdefault_keeps_the_value_that_is_there(headers):
    assert headers.setdefault("server", "eggs") == "spam"
    assert headers.setdefault("Date", "today") == "today"
    assert headers["Date"] == "today"


def test_deleting_a_key_deletes_all_its_values(repeated):
    del repeated["SET-cookie"]
    assert list(repeated.raw_items()) == [("Server", "spam")]
    assert repeated.get_all("Set-Cookie") == []


def test_deleting_a_missing_key_raises_key_error_and_changes_nothing(headers):
    with pytest.raises(KeyError):
        del headers["Date"]
    assert len(headers) == 2


def test_pop_returns_and_deletes_a_value(headers):
    assert headers.pop("SERVER") == "spam"
    assert list(headers.raw_items()) == [("Connection", "Upgrade")]
    assert headers.pop("Server", None) is None


def test_clear_removes_all_headers(repeated):
    repeated.clear()
    assert len(repeated) == 0
    assert list(repeated.raw_items()) == []
    assert repeated.serialize() == b"\r\n"


def test_update_adds_values_to_those_that_are_there(headers):
    headers.update({"Server": "eggs"}, Date="today")
    assert list(headers.raw_items()) == [
        ("Connection", "Upgrade"),
        ("Server", "spam"),
        ("Server", "eggs"),
        ("Date", "today"),
    ]


def test_update_takes_all_values_of_headers(headers, repeated):
    headers.update(repeated)
    assert headers.get_all("Server") == ["spam", "spam"]
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2"]


def test_update_with_itself_ends(headers):
    headers.update(headers)
    assert headers.get_all("Server") == ["spam", "spam"]


@pytest.mark.parametrize(
    "other, equal",
    [
        (Headers([("CONNECTION", "Upgrade"), ("SERVER", "spam")]), True),
        (Headers([("Server", "spam"), ("Connection", "Upgrade")]), True),
        (Headers([("Connection", "upgrade"), ("Server", "spam")]), False),
        (Headers([("Connection", "Upgrade")]), False),
        (Headers([("Connection", "Upgrade"), ("Server", "spam"), ("Server", "spam")]), False),
        ({"Connection": "Upgrade", "Server": "spam"}, False),
        (None, False),
    ],
)
def test_equality_ignores_the_case_of_names_and_their_order(headers, other, equal):
    assert (headers == other) is equal
    assert (headers != other) is not equal


def test_order_of_values_matters_for_equality():
    assert Headers([("a", "1"), ("a", "2")]) != Headers([("a", "2"), ("a", "1")])


def test_headers_are_not_hashable(headers):
    with pytest.raises(TypeError):
        hash(headers)


@pytest.mark.parametrize("name", ["X-Custom", "a", "0", "!#$%&'*+-.^_`|~", "Sec-WebSocket-Key"])
def test_names_may_be_any_token(name):
    assert Headers({name: "value"}).serialize() == f"{name}: value\r\n\r\n".encode()


@pytest.mark.parametrize(
    "args, kind",
    [(["Server: spam"], "str"), ("Server: spam", "str"), ([b"Server: spam"], "bytes")],
)
def test_whole_lines_are_refused(headers, args, kind):
    with pytest.raises(TypeError) as raised:
        headers.update(args)
    assert str(raised.value) == (
        "headers must be a mapping, or an iterable of pairs of a name and a value; "
        f"got a {kind} in the place of a pair"
    )


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a:", ":a", "a\r\nb", "a\n", "\na", "a\0", "a\t", "caf\xe9", "\u0661", '"a"'],
)
def test_names_that_are_no_tokens_are_refused(name):
    headers = Headers()
    with pytest.raises(ValueError, match=r"^invalid header name: ") as raised:
        headers[name] = "value"
    assert str(raised.value) == f"invalid header name: {name!r}"
    assert len(headers) == 0


@pytest.mark.parametrize("value", ["", " ", "\t", "a b", "a\tb", "\x80\xff", "~!@"])
def test_values_may_have_visible_characters_and_white_space(value):
    assert Headers(a=value)["a"] == value


@pytest.mark.parametrize(
    "char", ["\r", "\n", "\0", "\x1b", "\x0b", "\x0c", "\x1f", "\x7f", "\u0100", "\ud800", "€"]
)
@pytest.mark.parametrize("before, after", [("", ""), ("secret", ""), ("secret", "secret")])
def test_values_with_other_characters_are_refused_without_showing_the_value(char, before, after):
    headers = Headers()
    with pytest.raises(InvalidHeaderValue) as raised:
        headers["Authorization"] = before + char + after
    assert str(raised.value) == (
        f"invalid Authorization header: unexpected character {char!r} at {len(before)}"
    )
    assert raised.value.name == "Authorization"
    assert len(headers) == 0


@pytest.mark.parametrize(
    "key, value, types",
    [
        ("Server", b"secret", "str with bytes"),
        ("Server", None, "str with NoneType"),
        ("Content-Length", 42, "str with int"),
        (b"Server", "secret", "bytes with str"),
        (42, "secret", "int with str"),
    ],
)
def test_names_and_values_of_other_types_are_refused_without_showing_the_value(key, value, types):
    headers = Headers()
    with pytest.raises(TypeError) as raised:
        headers[key] = value
    assert str(raised.value) == f"header must be a str with a str value, got {types}"
    assert len(headers) == 0


@pytest.mark.parametrize(
    "make", [Headers, lambda pairs: Headers(dict(pairs)), lambda pairs: Headers(**dict(pairs))]
)
def test_constructor_checks_values(make):
    with pytest.raises(InvalidHeaderValue):
        make([("Server", "spam\r\nSet-Cookie: a=1")])


def test_set_insecure_adds_a_value_without_checks(headers):
    headers.set_insecure("SERVER", "\u2603")
    assert headers.get_all("Server") == ["spam", "\u2603"]
    assert list(headers.raw_items())[-1] == ("SERVER", "\u2603")


def test_update_insecure_adds_values_without_checks(headers):
    headers.update_insecure([("SERVER", "\u2603"), ("X Y", "eggs"), ("X y", "ham")])
    assert headers.get_all("Server") == ["spam", "\u2603"]
    assert headers.get_all("x y") == ["eggs", "ham"]
    assert list(headers.raw_items())[-2:] == [("X Y", "eggs"), ("X y", "ham")]


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.text(TOKEN, min_size=1, max_size=3), st.text(VALUE, max_size=5)), max_size=10
    )
)
def test_headers_hold_what_they_were_given(items):
    headers = Headers(items)
    assert list(headers.raw_items()) == items
    assert set(headers) == {key.lower() for key, _ in items}
    for key in headers:
        assert headers.get_all(key) == [value for name, value in items if name.lower() == key]
    lines = headers.serialize().split(b"\r\n")
    assert lines == [f"{key}: {value}".encode("iso-8859-1") for key, value in items] + [b"", b""]


@pytest.mark.slow
@settings(deadline=None)
@given(st.text(max_size=5), st.text(max_size=5))
def test_no_header_can_inject_another(name, value):
    headers = Headers()
    try:
        headers[name] = value
    except (ValueError, InvalidHeaderValue):
        assert headers.serialize() == b"\r\n"
    else:
        assert headers.serialize() == f"{name}: {value}\r\n\r\n".encode("iso-8859-1")
        assert len(headers.serialize().splitlines()) == 2
