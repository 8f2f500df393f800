"""Tables that are made from the code they describe, when the documentation is built.

The functions that make the text need nothing but Python; the directives hand it to Sphinx.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

    from ws_protocol.state import State, Transition


def build_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in reStructuredText, with one line for each cell."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        for column, cell in enumerate(row):
            lines.append(f"   {' ' if column else '*'} - {cell}".rstrip())
    return "\n".join(lines) + "\n"


def build_transitions(transitions: dict[tuple[State, Transition], State]) -> str:
    """Return the table of what happens to a connection, by the state it is in.

    Args:
        transitions: ``ws_protocol.state.TRANSITIONS``.

    """
    states = list(dict.fromkeys(state for state, _ in transitions))
    # A state that nothing leads out of is only among the values.
    states += dict.fromkeys(state for state in transitions.values() if state not in states)
    happenings = dict.fromkeys(transition for _, transition in transitions)
    rows = []
    for transition in happenings:
        row = [transition.value]
        for state in states:
            new = transitions.get((state, transition))
            if new is None:
                row.append("")
            elif new is state:
                row.append("stays")
            else:
                row.append(f"→ ``{new.name}``")
        rows.append(row)
    return build_table(["", *(f"in ``{state.name}``" for state in states)], rows)


def build_aliases(package: types.ModuleType) -> str:
    """Return the table of the names that a package has, and the modules that define them."""
    by_module: dict[str, list[str]] = {}
    for name in package.__all__:
        defined_in = find_module(package, name)
        by_module.setdefault(defined_in, []).append(f"``{name}``")
    rows = [[f":mod:`{module}`", ", ".join(names)] for module, names in sorted(by_module.items())]
    return build_table(["module", "names"], rows)


def find_module(package: types.ModuleType, name: str) -> str:
    """Return the name of the module that defines what a package has as a name.

    Type aliases don't know it, and are looked for.
    """
    value: Any = getattr(package, name)
    module = getattr(value, "__module__", "")
    if module.startswith("ws_"):
        return str(module)
    for candidate in ("ws_protocol.typing", "ws_protocol.datastructures"):
        if getattr(importlib.import_module(candidate), name, None) is value:
            return candidate
    raise LookupError(f"{package.__name__}.{name} isn't defined in any module that is known")


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directives."""
    from docutils import nodes
    from docutils.parsers.rst import Directive
    from docutils.statemachine import StringList

    class Table(Directive):
        """A table that is made from the code."""

        def make(self) -> str:
            raise NotImplementedError

        def run(self) -> list[nodes.Node]:
            node = nodes.Element()
            lines = StringList(self.make().splitlines(), source=self.name)
            self.state.nested_parse(lines, self.content_offset, node)
            return node.children

    class TransitionsTable(Table):
        """The table of transitions between the states of a connection."""

        def make(self) -> str:
            from ws_protocol.state import TRANSITIONS

            return build_transitions(TRANSITIONS)

    class AliasesTable(Table):
        """The table of the names that ``websockets`` has."""

        def make(self) -> str:
            import websockets

            return build_aliases(websockets)

    app.add_directive("transitions-table", TransitionsTable)
    app.add_directive("aliases-table", AliasesTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
