"""Which package has what: the table in the documentation, by which the suite runs."""

from __future__ import annotations

import csv
import functools
from pathlib import Path

FEATURES = Path(__file__).parents[2] / "docs" / "reference" / "features.csv"


@functools.cache
def read_features():
    """Return the packages that have each feature."""
    return {
        feature: [package for package, cell in cells.items() if cell == "yes"]
        for feature, cells in read_table().items()
    }


def read_table():
    """Return the cells of each feature, by package."""
    with FEATURES.open(newline="") as file:
        return {row.pop("feature"): row for row in csv.DictReader(file)}
