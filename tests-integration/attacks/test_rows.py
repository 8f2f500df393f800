"""Incidents that other software of this field had, and the tests that show that ours hasn't.

Each is a row: who had it, what happened, and the tests here that would fail if it happened to us.
Those in :mod:`test_abuse` run against processes, the others against what stands in one.
"""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

ROWS = [
    (
        "CVE-2018-1000518 websockets; tornado#2391",
        "size checked before inflating",
        ["test_attack", "test_message_is_measured_while_it_inflates"],
    ),
    (
        "CVE-2026-1526 undici",
        "no limit on inflating in the client",
        ["test_attack", "test_message_is_measured_while_it_inflates"],
    ),
    (
        "GHSA-hxp9-w8x3-p566 autobahn",
        "limit on the compressed length; messages cut",
        ["test_limit_is_on_the_whole_message_once_inflated"],
    ),
    (
        "undici, ws 17.2, bun#38632, netty#8702",
        "window bits out of range",
        [
            "test_offer_with_impossible_window_bits_is_declined",
            "test_response_with_impossible_window_bits_fails_the_handshake",
        ],
    ),
    (
        "CVE-2026-59881 aiohttp; ws#1720",
        "reserved bits that weren't negotiated",
        ["test_reserved_bits_fail_the_connection"],
    ),
    (
        "CVE-2026-48779, GHSA-96hv-2xvq-fx4p Node ws",
        "objects for tiny fragments; counters never reset",
        ["test_attack", "test_many_messages_trip_no_limit", "test_bytes_that_come_one_by_one"],
    ),
    (
        "websockets 17.4; CVE-2026-42786, CVE-2026-65623 Bandit",
        "fragments without a limit, or in quadratic time",
        ["test_attack", "test_time_grows_with_the_number_of_fragments"],
    ),
    (
        "CVE-2026-44545 Daphne; CVE-2021-21419 eventlet; Java-WebSocket#1499",
        "no limit by default; memory for what is only declared",
        ["test_attack", "test_limit_holds_by_default"],
    ),
    (
        "openai-java#1013, tyrus#954, curl#21911",
        "pings faster than pongs are read",
        ["test_attack", "test_pongs_do_not_pile_up"],
    ),
    (
        "engine.io#420; aiohttp#1367",
        "what waits to be sent has no limit",
        ["test_attack"],
    ),
    (
        "CVE-2020-27813 gorilla; CVE-2026-54466 websocket-driver",
        "overflow of lengths",
        ["test_attack", "test_length_must_be_possible"],
    ),
    (
        "CVE-2026-29035 CivetWeb",
        "writing out of bounds while inflating",
        ["test_any_bytes_can_be_inflated_or_fail_the_connection"],
    ),
    (
        "ws 8.20.1",
        "memory sent that wasn't written to",
        ["test_odd_buffers_are_sent_as_their_bytes"],
    ),
    (
        "CVE-2024-37890 Node ws",
        "missing or very many headers",
        ["test_attack", "test_missing_header_is_answered"],
    ),
    (
        "CVE-2021-32640 Node ws; CVE-2020-7663 websocket-extensions",
        "regular expressions in quadratic time",
        ["test_time_grows_with_the_length_of_a_header"],
    ),
    (
        "CVE-2023-43669 tungstenite",
        "handshake parsed anew with each chunk",
        ["test_attack", "test_time_grows_with_the_number_of_chunks_of_a_handshake"],
    ),
    (
        "CVE-2025-67725, CVE-2025-67726, CVE-2024-52804 tornado; CVE-2026-22815 aiohttp",
        "headers of one name joined in quadratic time",
        ["test_attack", "test_time_grows_with_the_number_of_headers_of_one_name"],
    ),
    (
        "CVE-2026-69243 aiohttp",
        "body of an upgrade taken for the next request",
        ["test_request_with_a_body_is_refused", "test_nothing_after_a_request_is_another_one"],
    ),
    ("aiohttp#12723", "Connection: notupgrade", ["test_options_of_connection_are_compared_whole"]),
    (
        "CVE-2021-33880 websockets 8",
        "passwords compared in the time they take",
        ["test_passwords_are_compared_as_bytes_for_every_user"],
    ),
    (
        "websockets 16.1; GHSA-hg6j-4rv6-33pg aiohttp",
        "credentials sent to where a redirect leads",
        ["test_credentials_stay_with_their_origin", "test_credentials_of_a_uri_stay_there"],
    ),
    (
        "GHSA-mwh4-6h8g-pg8w aiohttp; CVE-2020-7694, CVE-2020-7695 uvicorn",
        "line breaks in headers and on terminals",
        [
            "test_control_characters_are_refused_in_headers",
            "test_control_characters_of_a_reason_are_not_shown",
        ],
    ),
    (
        "Granian; CVE-2022-21676, CVE-2022-41940 engine.io; CVE-2023-32695",
        "one handshake ends the process",
        ["test_any_header_is_answered", "test_server_outlives_nonsense"],
    ),
    (
        "nhooyr PRISMA-2021-0118",
        "two pongs for one ping",
        ["test_pongs_may_be_repeated_unasked_and_in_any_order"],
    ),
    (
        "CVE-2026-34824 mesop",
        "a thread for each message",
        ["test_messages_make_no_tasks"],
    ),
    (
        "CSWSH (CWE-1385), DNS rebinding",
        "pages of others connect",
        ["test_pages_and_names_are_checked", "test_host_is_required_once_and_valid"],
    ),
    (
        "Slowloris",
        "handshakes that don't go on",
        ["test_attack", "test_handshakes_in_progress_are_limited"],
    ),
    (
        "homematicip#546, pysignalr#20",
        "clients that try again without a pause",
        ["test_delays_are_random_and_follow_every_failure"],
    ),
]


def find_tests():
    """Return the names of all tests that stand beside this."""
    return {
        node.name
        for path in HERE.glob("test_*.py")
        if path != Path(__file__).resolve()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
    }


@pytest.mark.parametrize("who, what, tests", ROWS, ids=[row[0] for row in ROWS])
def test_every_incident_has_its_tests(who, what, tests):
    assert tests
    assert set(tests) <= find_tests()


def test_every_test_is_for_an_incident():
    assert find_tests() == {test for _, _, tests in ROWS for test in tests}


def test_there_are_as_many_incidents_as_there_were():
    assert len({who for who, _, _ in ROWS}) == len(ROWS) == 28
