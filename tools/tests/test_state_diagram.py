import enum
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools import state_diagram
from tools.state_diagram import build_svg, group_transitions

SOURCE = Path(__file__).resolve().parents[2] / "packages" / "ws-protocol" / "src"


class State(enum.Enum):
    A, B, C = range(3)


class Event(enum.Enum):
    GO = "go <on>"
    STAY = "stay"
    RUN = "run"
    JUMP = "jump"


TABLE = {
    (State.A, Event.GO): State.B,
    (State.A, Event.RUN): State.B,
    (State.A, Event.JUMP): State.C,
    (State.B, Event.STAY): State.B,
    (State.B, Event.GO): State.C,
}


def test_arrows_between_the_same_states_are_one():
    states, arrows = group_transitions(TABLE)
    assert states == [State.A, State.B, State.C]
    assert arrows == {
        (0, 1): ["go <on>", "run"],
        (0, 2): ["jump"],
        (1, 1): ["stay"],
        (1, 2): ["go <on>"],
    }


def read(svg):
    """Return the texts of a diagram, and how many arrows and boxes it has."""
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    arrows = [path for path in root.iter(f"{space}path") if path.get("marker-end")]
    texts = [text.text for text in root.iter(f"{space}text")]
    return texts, len(arrows), len(list(root.iter(f"{space}rect")))


def test_diagram_has_every_state_and_every_transition():
    texts, arrows, boxes = read(build_svg(TABLE))
    assert sorted(texts) == sorted(["A", "B", "C", "go <on>", "run", "jump", "stay", "go <on>"])
    assert (arrows, boxes) == (4, 3)


def test_everything_is_inside_of_the_picture():
    svg = build_svg(TABLE)
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)" role', svg).groups())
    for x, y in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"', svg):
        assert 0 < float(x) < width
        assert 10 < float(y) < height


@pytest.fixture
def _protocol(monkeypatch):
    """Make the source importable, which isn't installed where tools are tested."""
    monkeypatch.syspath_prepend(str(SOURCE))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "ws_protocol"]:
        del sys.modules[name]


@pytest.mark.usefixtures("_protocol")
def test_diagram_of_a_connection_is_that_of_its_table(capsys):
    state_diagram.main()
    texts, _, boxes = read(capsys.readouterr().out)
    from ws_protocol.state import TRANSITIONS, State

    assert boxes == len(State)
    events = [event.value for _, event in TRANSITIONS]
    assert sorted(texts) == sorted([*events, *(state.name for state in State)])
