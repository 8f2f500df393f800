import pytest

from ws_auth import is_credentials
from ws_auth.policy import make_check


@pytest.mark.parametrize(
    "credentials, expected",
    [
        (("hello", "iloveyou"), True),
        (("", ""), True),
        (("hello",), False),
        (("hello", "iloveyou", "more"), False),
        (["hello", "iloveyou"], False),
        (("hello", None), False),
        (("hello", b"iloveyou"), False),
        ("hi", False),
        (None, False),
    ],
)
def test_credentials_are_a_pair_of_strings(credentials, expected):
    assert is_credentials(credentials) is expected


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param(("hello", "iloveyou"), id="pair"),
        pytest.param([("hello", "iloveyou")], id="list"),
        pytest.param([("other", "x"), ("hello", "iloveyou")], id="list of several"),
        pytest.param((("hello", "iloveyou"), ("other", "x")), id="tuple of several"),
        pytest.param({("hello", "iloveyou")}, id="set"),
        pytest.param(iter([("hello", "iloveyou")]), id="iterator"),
    ],
)
def test_check_accepts_the_right_password_only(credentials):
    check = make_check(credentials)
    assert check("hello", "iloveyou")
    # Again, since an iterator gives its items once.
    assert check("hello", "iloveyou")
    assert not check("hello", "iloveyo")
    assert not check("hello", "iloveyou ")
    assert not check("hello", "ILOVEYOU")
    assert not check("hello", "")
    assert not check("Hello", "iloveyou")
    assert not check("nobody", "iloveyou")
    assert not check("", "")


def test_check_of_several_pairs_does_not_mix_them_up():
    check = make_check([("hello", "iloveyou"), ("other", "secret")])
    assert check("other", "secret")
    assert not check("other", "iloveyou")
    assert not check("hello", "secret")


@pytest.mark.parametrize("password", ["pässwörd", "пароль", "密码", "🔑", "\u0130"])
def test_passwords_and_user_names_may_be_outside_ascii(password):
    check = make_check((password, password))
    assert check(password, password)
    assert not check(password, password + "x")
    assert not check(password, "x")
    assert not check("x", password)


def test_password_may_be_empty():
    # As with tokens that are sent as user names.
    check = make_check(("token", ""))
    assert check("token", "")
    assert not check("token", "x")
    assert not check("nobody", "")


def test_no_password_is_right_for_an_unknown_user():
    check = make_check(("hello", "iloveyou"))
    # Among them, whatever stands in for the password that isn't there.
    assert not any(check("nobody", chr(code)) for code in range(256))


def test_no_credentials_are_right_if_the_list_is_empty():
    assert not make_check([])("hello", "iloveyou")


def test_passwords_are_compared_in_constant_time_also_for_unknown_users(monkeypatch):
    compared = []

    def compare_digest(a, b):
        compared.append((a, b))
        return a == b

    monkeypatch.setattr("hmac.compare_digest", compare_digest)
    check = make_check(("hello", "iloveyou"))
    for username in ["hello", "nobody"]:
        check(username, "wrong")
    assert len(compared) == 2
    assert all(isinstance(a, bytes) and isinstance(b, bytes) for a, b in compared)


def test_function_that_checks_credentials_is_used_as_it_is():
    def check_credentials(username, password):
        raise AssertionError("not called")

    assert make_check(None, check_credentials) is check_credentials


@pytest.mark.parametrize(
    "credentials, check_credentials",
    [(None, None), (("hello", "iloveyou"), lambda username, password: True)],
    ids=["none", "both"],
)
def test_either_credentials_or_a_function_is_required(credentials, check_credentials):
    with pytest.raises(ValueError, match="provide either credentials or check_credentials") as info:
        make_check(credentials, check_credentials)
    assert "iloveyou" not in str(info.value)


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param("hello:iloveyou", id="string"),
        pytest.param(["hello", "iloveyou"], id="list of strings"),
        pytest.param(("hello", "iloveyou", "more"), id="triple"),
        pytest.param(("hello", b"iloveyou"), id="bytes"),
        pytest.param([("hello", "iloveyou"), ("other",)], id="list with something else"),
        pytest.param({"hello": "iloveyou"}, id="dict"),
        pytest.param(42, id="number"),
    ],
)
def test_other_credentials_are_refused_without_showing_them(credentials):
    with pytest.raises(TypeError) as info:
        make_check(credentials)
    assert str(info.value) == (
        "credentials must be a (username, password) tuple or a list of them, "
        f"not {type(credentials).__name__}"
    )
