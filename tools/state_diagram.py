"""Draw the states of a connection from their table, as SVG: the documentation shows it.

States stand in a row, in the order in which a connection goes through them. What leads to the next
one is a straight arrow, what skips some goes above, what stays goes below.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from html import escape
from typing import TypeVar

WIDTH, HEIGHT = 116, 40
DISTANCE = 350
LINE = 17
# Room for the arrows above, and for what stays below.
ABOVE, BELOW = 190, 110
MARGIN = 30

NAMESPACE = "http://www.w3.org/2000/svg"
HEAD = (
    '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
    'markerHeight="8" orient="auto"><path d="M 0 0 L 10 5 L 0 10 z" fill="currentColor"/>'
    "</marker></defs>"
)
STYLE = "font-family: sans-serif; font-size: 14px; fill: currentColor"


State = TypeVar("State", bound=Enum)
Event = TypeVar("Event", bound=Enum)


def group_transitions(
    transitions: Mapping[tuple[State, Event], State],
) -> tuple[list[State], dict[tuple[int, int], list[str]]]:
    """Return the states in order, and what leads from one to another, by their numbers.

    Args:
        transitions: The new state, by the old state and what happens.

    """
    states = list(dict.fromkeys(state for state, _ in transitions))
    # A state that nothing leads out of is only among the new ones.
    states += dict.fromkeys(state for state in transitions.values() if state not in states)
    arrows: dict[tuple[int, int], list[str]] = {}
    for (old, event), new in transitions.items():
        arrows.setdefault((states.index(old), states.index(new)), []).append(str(event.value))
    return states, arrows


def build_svg(transitions: Mapping[tuple[State, Event], State]) -> str:
    """Return the diagram.

    Args:
        transitions: ``ws_protocol.state.TRANSITIONS``, or another such table.

    """
    states, arrows = group_transitions(transitions)
    width = 2 * MARGIN + (len(states) - 1) * DISTANCE + WIDTH
    height = ABOVE + HEIGHT + BELOW
    parts = [
        f'<svg xmlns="{NAMESPACE}" viewBox="0 0 {width} {height}" role="img" style="{STYLE}">',
        "<title>States of a connection</title>",
        HEAD,
    ]
    for number, state in enumerate(states):
        left = MARGIN + number * DISTANCE
        parts.append(
            f'<rect x="{left}" y="{ABOVE}" width="{WIDTH}" height="{HEIGHT}" rx="8" '
            'fill="none" stroke="currentColor" stroke-width="1.5"/>'
        )
        parts += draw_text(left + WIDTH / 2, ABOVE + HEIGHT / 2 + 5, [state.name])
    for (old, new), labels in arrows.items():
        parts += draw_arrow(old, new, labels)
    return "\n".join([*parts, "</svg>", ""])


def draw_arrow(old: int, new: int, labels: list[str]) -> list[str]:
    """Draw the arrow from one state to another, with what makes a connection go that way."""
    start, end = (MARGIN + number * DISTANCE + WIDTH / 2 for number in (old, new))
    bottom = ABOVE + HEIGHT
    if new == old:
        path = f"M {start - 25} {bottom} C {start - 40} {bottom + 45} {start + 40} {bottom + 45} "
        path += f"{start + 25} {bottom}"
        text = draw_text(start, bottom + 52, labels)
    elif new == old + 1:
        middle = ABOVE + HEIGHT / 2
        path = f"M {start + WIDTH / 2} {middle} L {end - WIDTH / 2} {middle}"
        text = draw_text((start + end) / 2, middle - 8 - LINE * (len(labels) - 1), labels)
    else:
        top = ABOVE - 70 * abs(new - old)
        path = f"M {start} {ABOVE} C {start + 60} {top} {end - 60} {top} {end} {ABOVE}"
        # A curve of this kind comes as near as a quarter of the way.
        apex = ABOVE + (top - ABOVE) * 0.75
        text = draw_text((start + end) / 2, apex - 6 - LINE * (len(labels) - 1), labels)
    stroke = 'fill="none" stroke="currentColor" stroke-width="1.2" marker-end="url(#arrow)"'
    return [f'<path d="{path}" {stroke}/>', *text]


def draw_text(x: float, y: float, lines: list[str]) -> list[str]:
    """Draw lines of text, centered, the first one at a height."""
    return [
        f'<text x="{x}" y="{y + LINE * number}" text-anchor="middle">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]


def main() -> None:
    """Print the diagram."""
    from ws_protocol.state import TRANSITIONS

    sys.stdout.write(build_svg(TRANSITIONS))


if __name__ == "__main__":  # pragma: no cover - for whoever wants the picture by itself
    main()
