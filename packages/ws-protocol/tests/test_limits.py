import os
import runpy
import subprocess
import sys

import pytest

from ws_protocol import limits

# The documented defaults.
INTEGERS = {
    "MAX_FRAGMENTS": 2**20,
    "MAX_LINE_LENGTH": 8192,
    "MAX_NUM_HEADERS": 128,
    "MAX_HEAD_SIZE": 2**17,
    "MAX_BODY_SIZE": 2**20,
    "MAX_LOG_SIZE": 75,
    "MAX_REDIRECTS": 10,
}
NUMBERS = {
    "BACKOFF_INITIAL_DELAY": 5.0,
    "BACKOFF_MIN_DELAY": 3.1,
    "BACKOFF_MAX_DELAY": 90.0,
    "BACKOFF_FACTOR": 1.618,
}
CONSTANTS = {
    "MAX_SIZE": 2**20,
    "MAX_EARLY_DATA": 2**16,
    "MAX_KEEPALIVE_PINGS": 4,
    "MAX_REFUSED": 100,
    "MAX_UNSENT_PONGS": 16,
    "MIN_CONNECTION_LIFE": 5.0,
    "RETRY_AFTER": 5,
}


@pytest.fixture(autouse=True)
def no_limits_in_environment(monkeypatch):
    for name in (*INTEGERS, *NUMBERS):
        monkeypatch.delenv(f"WEBSOCKETS_{name}", raising=False)


def read_limits():
    """Read the environment as importing the module does, without importing it again for others."""
    return runpy.run_path(limits.__file__)


def test_every_limit_is_covered_here():
    assert set(limits.__all__) == {*INTEGERS, *NUMBERS, *CONSTANTS}


@pytest.mark.parametrize("name, default", {**INTEGERS, **NUMBERS, **CONSTANTS}.items())
def test_limit_has_its_documented_default(name, default):
    limit = read_limits()[name]
    assert limit == default
    assert type(limit) is type(default)


@pytest.mark.parametrize("text, value", [("0", 0), ("42", 42), ("1_048_576", 2**20), (" 7 ", 7)])
@pytest.mark.parametrize("name", INTEGERS)
def test_environment_variable_sets_an_integer(name, text, value, monkeypatch):
    monkeypatch.setenv(f"WEBSOCKETS_{name}", text)
    limit = read_limits()[name]
    assert limit == value
    assert type(limit) is int


@pytest.mark.parametrize(
    "text, value", [("0", 0.0), ("42", 42.0), ("0.5", 0.5), ("1e3", 1000.0), ("inf", float("inf"))]
)
@pytest.mark.parametrize("name", NUMBERS)
def test_environment_variable_sets_a_number(name, text, value, monkeypatch):
    monkeypatch.setenv(f"WEBSOCKETS_{name}", text)
    limit = read_limits()[name]
    assert limit == value
    assert type(limit) is float


@pytest.mark.parametrize("text", ["", " ", "-1", "1.5", "1e3", "0x10", "many", "inf", "1,000"])
@pytest.mark.parametrize("name", INTEGERS)
def test_environment_variable_that_is_no_integer_is_refused(name, text, monkeypatch):
    monkeypatch.setenv(f"WEBSOCKETS_{name}", text)
    with pytest.raises(ValueError, match="must be") as raised:
        read_limits()
    assert str(raised.value) == (
        f"environment variable WEBSOCKETS_{name} must be an integer of at least 0, got {text!r}"
    )


@pytest.mark.parametrize("text", ["", " ", "-1", "-0.1", "many", "nan", "-inf", "1,5"])
@pytest.mark.parametrize("name", NUMBERS)
def test_environment_variable_that_is_no_number_is_refused(name, text, monkeypatch):
    monkeypatch.setenv(f"WEBSOCKETS_{name}", text)
    with pytest.raises(ValueError, match="must be") as raised:
        read_limits()
    assert str(raised.value) == (
        f"environment variable WEBSOCKETS_{name} must be a number of at least 0, got {text!r}"
    )


@pytest.mark.parametrize("name", CONSTANTS)
def test_limits_without_an_environment_variable_have_none(name, monkeypatch):
    monkeypatch.setenv(f"WEBSOCKETS_{name}", "1")
    assert read_limits()[name] == CONSTANTS[name]


def import_with(code, **environ):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_modules_use_the_limits_that_the_environment_sets():
    code = (
        "from ws_protocol import http11, limits, reconnection\n"
        "print(limits.MAX_LINE_LENGTH, http11.MAX_LINE_LENGTH)\n"
        "delays = reconnection.backoff()\n"
        "print(next(delays), next(delays), next(delays), next(delays))\n"
    )
    result = import_with(
        code,
        WEBSOCKETS_MAX_LINE_LENGTH="100",
        WEBSOCKETS_BACKOFF_INITIAL_DELAY="0",
        WEBSOCKETS_BACKOFF_MIN_DELAY="1",
        WEBSOCKETS_BACKOFF_MAX_DELAY="3",
        WEBSOCKETS_BACKOFF_FACTOR="2",
    )
    assert result.stdout.split() == ["100", "100", "0.0", "1.0", "2.0", "3.0"], result.stderr


@pytest.mark.slow
def test_import_fails_with_a_bad_value_in_the_environment():
    result = import_with("import ws_protocol.limits", WEBSOCKETS_MAX_BODY_SIZE="1 MiB")
    assert result.returncode != 0
    *_, last_line = result.stderr.splitlines()
    assert last_line == (
        "ValueError: environment variable WEBSOCKETS_MAX_BODY_SIZE must be an integer of at least "
        "0, got '1 MiB'"
    )
