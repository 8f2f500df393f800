"""What was measured, as tables and as a picture."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OURS, PURE, BARE = "ours", "ours, pure", "bare TCP"


def ratios(entry: dict[str, Any], name: str, base: str = OURS) -> list[float]:
    """Return how many times as much a contender takes as another, round by round."""
    results = entry["results"]
    return [
        theirs / our
        for theirs, our in zip(results.get(name, []), results.get(base, []), strict=False)
    ]


def describe_value(value: float, unit: str) -> str:
    """Return a value for people."""
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def describe_median(values: list[float]) -> str:
    """Return the median of values."""
    return f"{statistics.median(values):.2f}" if values else "-"


def describe_spread(values: list[float]) -> str:
    """Return the median of values, and their spread."""
    if len(values) < 2:
        return describe_median(values)
    return f"{describe_median(values)} ({min(values):.2f} to {max(values):.2f})"


def describe_time(entry: dict[str, Any], name: str) -> str:
    """Return what a contender takes, and how much of it in the operating system."""
    if name not in entry["results"]:
        return "-"
    value = describe_value(statistics.median(entry["results"][name]), entry["unit"])
    if "system" not in entry:
        return value
    # Of all rounds: it is known less exactly than the whole.
    share = sum(entry["system"][name]) / sum(entry["results"][name])
    return f"{value}, {share:.0%}"


def line(entry: dict[str, Any]) -> str:
    """Return the medians of a work, in a line."""
    medians = (
        f"{name} {statistics.median(values):.4g}" for name, values in entry["results"].items()
    )
    return "    " + "  ".join([*medians, *(f"{name} fails" for name in entry["failures"])])


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [header, *rows]
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def group_works(works: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return works by their group."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in works:
        groups.setdefault(entry["group"], []).append(entry)
    return groups


def compare(
    data: dict[str, Any], describe_ratios: Callable[[list[float]], str]
) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield header and rows of a table for each group of works: what this project takes, and how
    many times that others do."""
    others = [name for name in data["about"]["versions"] if name != OURS]
    for group, entries in group_works(data["works"]).items():
        rows = []
        for entry in entries:
            ours = entry["results"].get(OURS)
            value = describe_value(statistics.median(ours), entry["unit"]) if ours else "-"
            cells = [describe_ratios(ratios(entry, name)) for name in others]
            rows.append([entry["title"], value, *cells])
        yield [group, OURS, *others], rows


def tell_times(data: dict[str, Any]) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield header and rows of a table for each group of works: what each contender takes."""
    names = list(data["about"]["versions"])
    for group, entries in group_works(data["works"]).items():
        yield (
            [group, *names],
            [
                [entry["title"], *(describe_time(entry, name) for name in names)]
                for entry in entries
            ],
        )


def describe(data: dict[str, Any]) -> str:
    """Return everything for people, in Markdown.

    First come tables of ratios: what this project takes, and how many times that others do. Then
    come the same works with the time that each takes, and the targets.
    """
    about = data["about"]
    lines = [
        f"{about['machine']}; {about['system']}; load {about['load']:.1f}; {about['time']}",
        f"CPython {about['python']}, {about['loop']}",
        "",
        *(f"- {name}: {versions}" for name, versions in about["versions"].items()),
    ]
    for [group, ours, *others], rows in compare(data, describe_spread):
        lines += ["", *table([group, ours, *(f"{name} / ours" for name in others)], rows)]
    lines += ["", "CPU time, and how much of it is spent in the operating system:"]
    for header, rows in tell_times(data):
        lines += ["", *table(header, rows)]
    if data["targets"]:
        rows = [
            [
                target["title"],
                target["asked"],
                target["against"],
                describe_spread(target["values"]),
                "-" if target["floor"] is None else f"{target['floor']:.2f}",
                target["verdict"],
            ]
            for target in data["targets"]
        ]
        lines += ["", *table(["Targets", "asked", "", OURS, BARE, "verdict"], rows)]
    failures = [
        f"- {entry['title']}: {name} fails: {why}"
        for entry in data["works"]
        for name, why in entry["failures"].items()
    ]
    if failures:
        lines += ["", *failures]
    return "\n".join(lines)


def plot(data: dict[str, Any], path: Path) -> None:
    """Draw how many times as much the others take as this project, a group below the other."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = [name for name in data["about"]["versions"] if name not in (OURS, BARE)]
    groups = group_works([entry for entry in data["works"] if OURS in entry["results"]])
    if not groups:
        return
    heights = [len(entries) for entries in groups.values()]
    figure, all_axes = plt.subplots(
        len(groups),
        figsize=(11, 0.5 * sum(heights) + 0.5 * len(groups) + 1.4),
        height_ratios=heights,
        layout="constrained",
        sharex=True,
        squeeze=False,
    )
    for axes, (group, entries) in zip(all_axes[:, 0], groups.items(), strict=True):
        axes.set_title(group, loc="left", fontweight="bold")
        axes.axvline(1, color="0.3", linewidth=1)
        for row, entry in enumerate(entries):
            if floor := ratios(entry, BARE):
                axes.plot(
                    [statistics.median(floor)] * 2,
                    [row - 0.42, row + 0.42],
                    color="black",
                    linewidth=3,
                    solid_capstyle="butt",
                    label=f"{BARE}: the floor",
                )
        for index, name in enumerate(names):
            positions, medians, spreads = [], [], []
            for row, entry in enumerate(entries):
                if values := ratios(entry, name):
                    median = statistics.median(values)
                    positions.append(row + (index - (len(names) - 1) / 2) * 0.1)
                    medians.append(median)
                    spreads.append((median - min(values), max(values) - median))
            if medians:
                axes.errorbar(
                    medians,
                    positions,
                    xerr=list(zip(*spreads, strict=True)),
                    # Those of this project are hollow.
                    markerfacecolor="white" if name.startswith(OURS) else None,
                    color=f"C{index}",
                    fmt="os^Dv<>P"[index],
                    markersize=5,
                    linewidth=1,
                    label=name,
                )
        axes.set_yticks(range(len(entries)), [entry["title"] for entry in entries])
        axes.set_ylim(len(entries) - 0.5, -0.5)
        for row in range(len(entries) - 1):
            axes.axhline(row + 0.5, color="0.92", linewidth=1)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        axes.set_xscale("log")
        powers = [2**power for power in range(6)]
        ticks = [1 / power for power in powers[1:]] + powers
        axes.set_xticks(ticks, [f"1/{1 / tick:g}" if tick < 1 else f"{tick}" for tick in ticks])
        axes.minorticks_off()
    all_axes[-1, 0].set_xlabel("times what this project takes: right of 1, this project is cheaper")
    labels: dict[str, Any] = {}
    for axes in all_axes[:, 0]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            labels.setdefault(label, handle)
    figure.legend(labels.values(), labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    results = Path(sys.argv[1])
    loaded = json.loads(results.read_text())
    print(describe(loaded))
    plot(loaded, results.with_suffix(".png"))
