"""Tables that are made from the code they describe, when the documentation is built.

The functions that make the text need nothing but Python; the directives hand it to Sphinx.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

    from websockets._aliases import Alias
    from ws_protocol.state import State, Transition


def build_table(header: Iterable[str], rows: Iterable[Iterable[str]], *options: str) -> str:
    """Return a table in reStructuredText, with one line for each cell."""
    lines = [".. list-table::", "   :header-rows: 1", *(f"   {option}" for option in options), ""]
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


def build_aliases(names: Mapping[str, Alias]) -> str:
    """Return the table of names, where they are at home, and where with WEBSOCKETS_ALIASES=asyncio.

    Args:
        names: ``websockets._aliases.NAMES``.

    """
    by_home: dict[tuple[str, str], list[str]] = {}
    for name, alias in names.items():
        if alias.instead:
            new = f"none; use {alias.instead}"
        elif alias.new:
            new = f":mod:`{alias.new}`"
        else:
            new = "the same"
        by_home.setdefault((alias.home, new), []).append(f"``{name}``")
    rows = [[f":mod:`{home}`", ", ".join(names), new] for (home, new), names in by_home.items()]
    return build_table(["module", "names", "new"], sorted(rows))


# What the programs that are measured are called in tables.
CONTENDERS = {"ours": "this project", "ours, pure": "pure kernel", "ours, legacy": "original API"}


def build_benchmark(tables: Iterable[tuple[list[str], list[list[str]]]]) -> str:
    """Return the tables of a benchmark.

    Args:
        tables: Header and rows of each.

    """
    return "\n".join(
        build_table(
            [CONTENDERS.get(name, name) for name in header],
            [["" if cell == "-" else cell for cell in row] for row in rows],
            ":class: wide",
            f":widths: 30{' 12' * (len(header) - 1)}",
        )
        for header, rows in tables
    )


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

    class Diagram(Directive):
        """The diagram of states, drawn from their table."""

        def run(self) -> list[nodes.Node]:
            from tools.state_diagram import build_svg
            from ws_protocol.state import TRANSITIONS

            return [nodes.raw("", build_svg(TRANSITIONS), format="html")]

    class TransitionsTable(Table):
        """The table of transitions between the states of a connection."""

        def make(self) -> str:
            from ws_protocol.state import TRANSITIONS

            return build_transitions(TRANSITIONS)

    class AliasesTable(Table):
        """The table of the names that ``websockets`` has."""

        def make(self) -> str:
            from websockets._aliases import NAMES

            return build_aliases(NAMES)

    class BenchmarkTables(Table):
        """Tables of the results of a benchmark: which, and the file that has them."""

        required_arguments = 2

        def make(self) -> str:
            import json

            from benchmarks import report

            kind, file = self.arguments
            env = self.state.document.settings.env
            _, path = env.relfn2path(file)
            env.note_dependency(path)
            with open(path, encoding="utf-8") as results:
                data = json.load(results)
            if kind == "times":
                return build_benchmark(report.tell_times(data))
            return build_benchmark(report.compare(data, report.describe_median))

    class Help(Directive):
        """What ``websockets --help`` prints."""

        def run(self) -> list[nodes.Node]:
            import os

            from websockets.cli import build_parser

            os.environ["COLUMNS"] = "80"
            text = build_parser().format_help()
            return [nodes.literal_block(text, text, language="text")]

    app.add_directive("state-diagram", Diagram)
    app.add_directive("include-help", Help)
    app.add_directive("transitions-table", TransitionsTable)
    app.add_directive("aliases-table", AliasesTable)
    app.add_directive("benchmark-tables", BenchmarkTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
