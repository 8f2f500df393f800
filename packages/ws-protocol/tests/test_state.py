import itertools

import pytest

from ws_protocol.exceptions import InvalidState
from ws_protocol.state import TRANSITIONS, Side, State, Transition, next_state

CONNECTING, OPEN, CLOSING, CLOSED = State

EXPECTED = {
    (CONNECTING, Transition.OPENED): OPEN,
    (CONNECTING, Transition.REFUSED): CONNECTING,
    (CONNECTING, Transition.CLOSE_SENT): None,
    (CONNECTING, Transition.CLOSE_RECEIVED): None,
    (CONNECTING, Transition.FAILED): None,
    (CONNECTING, Transition.EOF_RECEIVED): CLOSED,
    (OPEN, Transition.OPENED): None,
    (OPEN, Transition.REFUSED): None,
    (OPEN, Transition.CLOSE_SENT): CLOSING,
    (OPEN, Transition.CLOSE_RECEIVED): CLOSING,
    (OPEN, Transition.FAILED): CLOSING,
    (OPEN, Transition.EOF_RECEIVED): CLOSED,
    (CLOSING, Transition.OPENED): None,
    (CLOSING, Transition.REFUSED): None,
    (CLOSING, Transition.CLOSE_SENT): CLOSING,
    (CLOSING, Transition.CLOSE_RECEIVED): CLOSING,
    (CLOSING, Transition.FAILED): CLOSING,
    (CLOSING, Transition.EOF_RECEIVED): CLOSED,
    (CLOSED, Transition.OPENED): None,
    (CLOSED, Transition.REFUSED): None,
    (CLOSED, Transition.CLOSE_SENT): None,
    (CLOSED, Transition.CLOSE_RECEIVED): None,
    (CLOSED, Transition.FAILED): None,
    (CLOSED, Transition.EOF_RECEIVED): None,
}


def test_every_pair_of_state_and_transition_is_expected():
    assert EXPECTED.keys() == set(itertools.product(State, Transition))


@pytest.mark.parametrize(
    "state, transition", EXPECTED, ids=lambda member: member.name.lower().replace("_", " ")
)
def test_transition_leads_to_expected_state_or_is_a_mistake(state, transition):
    expected = EXPECTED[state, transition]
    if expected is None:
        with pytest.raises(InvalidState) as raised:
            next_state(state, transition)
        assert str(raised.value) == f"connection is {state.name.lower()}"
        assert raised.value.__suppress_context__
    else:
        assert next_state(state, transition) is expected


def test_no_state_can_be_left_for_an_earlier_one():
    assert all(after >= before for (before, _), after in TRANSITIONS.items())


def test_numbers_of_states_and_sides_are_those_that_users_may_have_stored():
    assert {state.name: state.value for state in State} == {
        "CONNECTING": 0,
        "OPEN": 1,
        "CLOSING": 2,
        "CLOSED": 3,
    }
    assert {side.name: side.value for side in Side} == {"SERVER": 0, "CLIENT": 1}
