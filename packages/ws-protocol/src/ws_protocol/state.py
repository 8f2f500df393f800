"""The states of a connection, and every transition between them (RFC 6455, sections 4.1 and 7).

The table knows nothing of sides, frames or bytes: :mod:`ws_protocol.protocol` tells it what
happened. A transition that isn't in the table is a mistake.
"""

from __future__ import annotations

import enum

from .exceptions import InvalidState

__all__ = ["TRANSITIONS", "Side", "State", "Transition", "next_state"]


class Side(enum.IntEnum):
    """Side of a connection."""

    SERVER, CLIENT = range(2)


class State(enum.IntEnum):
    """State of a connection."""

    CONNECTING, OPEN, CLOSING, CLOSED = range(4)


class Transition(enum.Enum):
    """What makes a connection change its state."""

    OPENED = "opening handshake succeeded"
    REFUSED = "opening handshake failed"
    CLOSE_SENT = "close frame sent"
    CLOSE_RECEIVED = "close frame received"
    FAILED = "connection failed"
    EOF_RECEIVED = "end of stream received"


TRANSITIONS: dict[tuple[State, Transition], State] = {
    (State.CONNECTING, Transition.OPENED): State.OPEN,
    # RFC 6455 has no state for it. It is closed when the TCP connection is.
    (State.CONNECTING, Transition.REFUSED): State.CONNECTING,
    (State.CONNECTING, Transition.EOF_RECEIVED): State.CLOSED,
    (State.OPEN, Transition.CLOSE_SENT): State.CLOSING,
    (State.OPEN, Transition.CLOSE_RECEIVED): State.CLOSING,
    # RFC 6455, section 7.1.7.
    (State.OPEN, Transition.FAILED): State.CLOSING,
    (State.OPEN, Transition.EOF_RECEIVED): State.CLOSED,
    # The other half of the closing handshake (RFC 6455, section 7.1.2).
    (State.CLOSING, Transition.CLOSE_SENT): State.CLOSING,
    (State.CLOSING, Transition.CLOSE_RECEIVED): State.CLOSING,
    (State.CLOSING, Transition.FAILED): State.CLOSING,
    # RFC 6455, section 7.1.4.
    (State.CLOSING, Transition.EOF_RECEIVED): State.CLOSED,
}
"""The state after a transition, by the state before it."""


def next_state(state: State, transition: Transition) -> State:
    """Return the state after a transition.

    Raises:
        InvalidState: There is no such transition from this state.

    """
    try:
        return TRANSITIONS[state, transition]
    except KeyError:
        raise InvalidState(f"connection is {state.name.lower()}") from None
