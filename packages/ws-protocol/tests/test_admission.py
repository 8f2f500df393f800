import pytest

from ws_protocol.admission import Admission, Verdict, busy_response
from ws_protocol.limits import BACKOFF_INITIAL_DELAY, MAX_REFUSED, RETRY_AFTER
from ws_protocol.server import ServerProtocol


def test_any_number_of_connections_is_accepted_by_default():
    admission = Admission()
    assert {admission.enter(number) for number in range(10000)} == {Verdict.ACCEPT}


@pytest.mark.parametrize("opened", [0, 1, 2, 3])
def test_connections_count_whether_they_are_open_or_not(opened):
    admission = Admission(max_connections=3)
    for number in range(3):
        assert admission.enter(number) is Verdict.ACCEPT
    for number in range(opened):
        admission.open(number)
    assert admission.enter("more") is Verdict.REFUSE
    admission.leave("more")
    admission.leave(1)
    assert admission.enter("next") is Verdict.ACCEPT
    assert admission.enter("last") is Verdict.REFUSE


def test_handshakes_count_until_they_are_done():
    admission = Admission(max_handshakes=2)
    for number in range(10):
        assert admission.enter(number) is Verdict.ACCEPT
        admission.open(number)
    assert admission.enter("a") is Verdict.ACCEPT
    assert admission.enter("b") is Verdict.ACCEPT
    assert admission.enter("c") is Verdict.REFUSE
    admission.leave("a")
    assert admission.enter("d") is Verdict.ACCEPT


def test_so_many_are_refused_and_the_rest_are_dropped():
    admission = Admission(max_connections=1)
    assert admission.enter("open") is Verdict.ACCEPT
    verdicts = [admission.enter(number) for number in range(MAX_REFUSED + 10)]
    assert verdicts == [Verdict.REFUSE] * MAX_REFUSED + [Verdict.DROP] * 10
    admission.leave(0)
    assert admission.enter("late") is Verdict.REFUSE
    assert admission.enter("later") is Verdict.DROP


@pytest.mark.parametrize("name", ["max_connections", "max_handshakes"])
def test_limit_must_let_somebody_in(name):
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, got 0$"):
        Admission(**{name: 0})


def test_refused_client_is_told_when_to_try_again():
    response = busy_response(ServerProtocol())
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert response.headers["Connection"] == "close"
    assert response.body == b"Server has too many connections.\n"
    assert RETRY_AFTER == BACKOFF_INITIAL_DELAY
