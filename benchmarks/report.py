"""What was measured, as tables and as a picture."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

OURS = "ours"


def ratios(entry: dict[str, Any], name: str) -> list[float]:
    """Return how many times as much a contender takes as this project, round by round."""
    ours = entry["results"].get(OURS, [])
    return [theirs / our for theirs, our in zip(entry["results"].get(name, []), ours, strict=False)]


def describe_ratio(values: list[float]) -> str:
    """Return the median of ratios, and their spread."""
    if not values:
        return "-"
    median = f"{statistics.median(values):.2f}"
    if len(values) == 1:
        return median
    return f"{median} ({min(values):.2f} to {max(values):.2f})"


def line(entry: dict[str, Any]) -> str:
    """Return the medians of a work, in a line."""
    return "    " + "  ".join(
        f"{name} {statistics.median(values):.4g}" for name, values in entry["results"].items()
    )


def tables(data: dict[str, Any]) -> str:
    """Return tables in Markdown: what this project takes, and how many times that its peers do."""
    about = data["about"]
    lines = [
        f"{about['machine']}; {about['system']}; load {about['load']:.1f}; {about['time']}",
        f"CPython {about['python']}, {about['loop']}",
        "",
        *(f"- {name}: {versions}" for name, versions in about["versions"].items()),
    ]
    names = [name for name in about["versions"] if name != OURS]
    for group in dict.fromkeys(entry["group"] for entry in data["works"]):
        header = [group, OURS, *(f"{name} / ours" for name in names)]
        rows = []
        for entry in data["works"]:
            if entry["group"] == group:
                ours = entry["results"].get(OURS)
                value = f"{statistics.median(ours):.3g} {entry['unit']}" if ours else "-"
                cells = [describe_ratio(ratios(entry, name)) for name in names]
                rows.append([entry["title"], value, *cells])
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines.append("")
        for number, row in enumerate([header, *rows]):
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("| " + " | ".join(cells) + " |")
            if number == 0:
                lines.append("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def plot(data: dict[str, Any], path: Path) -> None:
    """Draw how many times as much the peers take as this project."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = [name for name in data["about"]["versions"] if name != OURS]
    works = [entry for entry in data["works"] if OURS in entry["results"]]
    figure, axes = plt.subplots(figsize=(10, 0.55 * len(works) + 1.6), layout="constrained")
    axes.axvline(1, color="0.3", linewidth=1)
    markers = "os^Dv<>P"
    for index, name in enumerate(names):
        positions, medians, spreads = [], [], []
        for row, entry in enumerate(works):
            values = ratios(entry, name)
            if values:
                median = statistics.median(values)
                positions.append(row + (index - (len(names) - 1) / 2) * 0.09)
                medians.append(median)
                spreads.append((median - min(values), max(values) - median))
        if medians:
            axes.errorbar(
                medians,
                positions,
                xerr=list(zip(*spreads, strict=True)),
                fmt=markers[index % len(markers)],
                markersize=5,
                linewidth=1,
                label=name,
            )
    roles = {"As a client": "client", "As a server": "server"}
    labels = [f"{roles.get(entry['group'], 'alone')}: {entry['title']}" for entry in works]
    axes.set_yticks(range(len(works)), labels)
    axes.set_ylim(len(works) - 0.5, -0.5)
    axes.set_xscale("log")
    ticks = [0.25, 0.5, 1, 2, 4, 8, 16, 32]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    for row in range(len(works) - 1):
        axes.axhline(row + 0.5, color="0.92", linewidth=1)
    axes.grid(axis="x", color="0.9")
    axes.set_xlabel("times what this project takes: right of 1, it is cheaper than the peer")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    results = Path(sys.argv[1])
    loaded = json.loads(results.read_text())
    print(tables(loaded))
    plot(loaded, results.with_suffix(".png"))
