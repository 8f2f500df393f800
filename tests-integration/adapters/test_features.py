"""The table of features tells what the suite tests: no row of it is only a promise."""

from __future__ import annotations

from . import test_closing, test_messages, test_opening
from .conftest import DRIVERS
from .features import read_table

MODULES = [test_closing, test_messages, test_opening]


def test_every_feature_in_the_table_is_tested():
    tested = {
        marker.args[0]
        for module in MODULES
        for name, function in vars(module).items()
        if name.startswith("test_")
        for marker in getattr(function, "pytestmark", [])
        if marker.name == "feature"
    }
    assert tested == set(read_table())


def test_table_has_a_column_for_every_package():
    for cells in read_table().values():
        assert list(cells) == list(DRIVERS)


def test_cells_of_the_table_say_yes_or_nothing():
    assert {cell for cells in read_table().values() for cell in cells.values()} == {"yes", ""}
